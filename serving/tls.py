"""TF Serving's SSLConfig as credentials for gRPC and for REST. The real server leaves its REST port open; ours does not."""

import ssl
import tempfile
from pathlib import Path

import grpc

from serving.settings import SettingsError, Tls


def grpc_credentials(tls: Tls) -> grpc.ServerCredentials:
    """For `add_secure_port`."""
    pair = (tls.server_key.encode(), tls.server_cert.encode())
    return grpc.ssl_server_credentials([pair], tls.custom_ca.encode() or None, tls.client_verify)


def rest_context(tls: Tls) -> ssl.SSLContext:
    """For sockets of the server's side. Raises: SettingsError where the texts are no key and certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # Python reads key and certificate from files alone; these exist for a moment and are this user's alone.
    with tempfile.TemporaryDirectory() as folder:
        key, certificate = Path(folder, "key"), Path(folder, "certificate")
        key.write_text(tls.server_key, encoding="utf-8")
        certificate.write_text(tls.server_cert, encoding="utf-8")
        try:
            context.load_cert_chain(certificate, key)
            if tls.client_verify:
                context.load_verify_locations(cadata=tls.custom_ca)
                context.verify_mode = ssl.CERT_REQUIRED
        except ssl.SSLError as error:
            raise SettingsError(f"server_key, server_cert or custom_ca is not usable PEM: {error.reason or error}") from None
    return context
