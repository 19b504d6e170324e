"""`m3net query`: which items share an attribute with a photo, from a server or from a release."""

import argparse
from pathlib import Path
from typing import Any

from components.catalogue_gen.photo import normalise
from pipeline import asked, neighbours
from serving.client import Client


def run(arguments: argparse.Namespace) -> int:
    """Asks a server, or a release directly, and prints the answer; also as a page, if asked for. Returns: 0."""
    asked.check_words(arguments)
    photo = normalise(_read(arguments.image))
    if arguments.release:
        found = _ask_release(arguments, photo)
    else:
        tls, token = asked.tls(arguments), asked.token(arguments)
        with Client(arguments.server, arguments.model_name, tls=tls, token=token) as client:
            if arguments.wait:
                client.wait_until_ready(arguments.wait)
            found = client.search(photo, arguments.attribute, arguments.k)
    print(neighbours.as_text(found))
    if arguments.html:
        arguments.html.write_text(neighbours.as_html(photo, arguments.attribute, found), encoding="utf-8")
        print(f"\nthe photos: {arguments.html}")
    return 0


def _read(image: str) -> bytes:
    """A photo's file; what reads a URL takes seconds to load."""
    if "://" not in image:
        return Path(image).read_bytes()
    from components.catalogue_gen.decode import read

    return read(image)


def _ask_release(arguments: argparse.Namespace, photo: bytes) -> list[Any]:
    """Through the same server and protocol, on a port of its own: there is one way to an answer."""
    from components.release_validator.check import running
    from serving.release import ReleaseError, versions

    if not (arguments.release.is_dir() and versions(arguments.release)):
        raise ReleaseError(f"--release {arguments.release}: holds no release; give the folder that holds the versions")
    with running(arguments.release) as address, Client(address) as client:
        return client.search(photo, arguments.attribute, arguments.k)
