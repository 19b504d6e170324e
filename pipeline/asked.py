"""What `m3net query` is given to ask with, checked before anybody is asked: its words, its PEM files, its token."""

import argparse
import ssl
from pathlib import Path

from pipeline.config import ConfigError
from serving.client import Tls
from serving.settings import read_token


def check_words(arguments: argparse.Namespace) -> None:
    """Raises: ConfigError for words typed in bytes that are no text."""
    for flag in ("attribute", "server", "model_name"):
        try:
            getattr(arguments, flag).encode()
        except UnicodeEncodeError:
            raise ConfigError(f"--{flag.replace('_', '-')}: is no text in UTF-8") from None


def token(arguments: argparse.Namespace) -> str:
    """ "" without a file. Raises: SettingsError, OSError."""
    return read_token(arguments.token_file) if arguments.token_file else ""


def tls(arguments: argparse.Namespace) -> Tls | None:
    """None without any of the files. Raises: ConfigError naming the one that cannot be used; OSError."""
    ca, key, certificate = arguments.ca, arguments.key, arguments.cert
    if bool(key) != bool(certificate):
        raise ConfigError("--cert and --key belong together; give both or neither")
    for flag, file in (("--ca", ca), ("--cert", certificate)):
        if file:
            _check_certificate(flag, file)
    if key:
        _check_key(certificate, key)
    given = [file.read_bytes() if file else None for file in (ca, key, certificate)]
    return Tls(*given) if any(given) else None


def _check_certificate(flag: str, file: Path) -> None:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(file)
    except ssl.SSLError:
        raise ConfigError(f"{flag} {file}: holds no certificate in PEM") from None


def _check_key(certificate: Path, key: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.set_ciphers("ALL:@SECLEVEL=0")  # whether it is strong enough is for the server to say
    try:
        context.load_cert_chain(certificate, key, lambda: "")  # no password, and so nobody is asked for one
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise ConfigError(f"--key {key}: does not belong to the certificate in --cert {certificate}") from None
        raise ConfigError(f"--key {key}: holds no key in PEM, without a password") from None
