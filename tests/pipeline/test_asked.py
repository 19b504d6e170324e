"""What `m3net query` is given to ask with: each mistake is one line, told before anybody is asked."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from PIL import Image

from pipeline.cli import main
from tests.serving.pem import Authority


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A photo, and files good and bad."""
    folder, authority = tmp_path_factory.mktemp("asked"), Authority("ours")
    mine, other = authority.issue("me"), authority.issue("other")
    key = serialization.load_pem_private_key(mine.key, None)
    secret = serialization.BestAvailableEncryption(b"x")
    contents = {
        "ca": authority.certificate, "cert": mine.certificate, "key": mine.key, "other": other.key, "junk": b"junk",
        "locked": key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, secret),
        "empty": b" \n", "binary": b"\x7fELF\xff", "two": b"one\ntwo\n", "umlaut": "schlüssel".encode(), "token": b"s3cret\n",
    }  # fmt: skip
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    Image.new("RGB", (8, 8)).save(folder / "photo.png")
    return folder


@pytest.mark.parametrize(("flags", "words"), [
    ("--ca junk --cert junk --key junk", "--ca junk: holds no certificate in PEM"),
    ("--ca key", "--ca key: holds no certificate in PEM"),
    ("--ca ca --cert junk --key key", "--cert junk: holds no certificate in PEM"),
    ("--ca ca --cert cert --key junk", "--key junk: holds no key in PEM, without a password"),
    ("--ca ca --cert cert --key locked", "--key locked: holds no key in PEM, without a password"),
    ("--ca ca --cert cert --key other", "--key other: does not belong to the certificate in --cert cert"),
    ("--ca ca --cert cert", "--cert and --key belong together; give both or neither"),
    ("--token-file empty", "empty: holds no token"),
    ("--token-file binary", "binary: a token is one line of printable ASCII characters"),
    ("--token-file two", "two: a token is one line of printable ASCII characters"),
    ("--token-file umlaut", "umlaut: a token is one line of printable ASCII characters"),
    ("--attribute \udcff", "--attribute: is no text in UTF-8"),
    ("--server \udcff:1", "--server: is no text in UTF-8"),
    ("--model-name \udcff", "--model-name: is no text in UTF-8"),
    ("-k 99999999999", "k lies between 1 and 2,147,483,647"),
    # Good files are let through, up to the server that is not there.
    ("--ca ca --cert cert --key key --token-file token",
     "no server answers at 127.0.0.1:1; start one with m3net serve RELEASES"),
])  # fmt: skip
def test_a_mistake_is_one_line(
    folder: Path, flags: str, words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    assert main(["query", "photo.png", "--attribute", "pocket", "--server", "127.0.0.1:1", *flags.split()]) == 2
    assert capsys.readouterr().err == f"m3net query: {words}\n"
    assert not (folder / "m3net-error.log").exists()
