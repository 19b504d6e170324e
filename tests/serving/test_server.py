"""The server's life: waiting, ready, moving to a newer release under load, refusing a damaged one, ending."""

import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from serving import release
from serving.client import Client, ClientError
from serving.serve import main
from tests.serving.load import Askers


def test_a_servers_life(
    tmp_path: Path, compose_into: Any, start: Callable[..., Any], photo: Callable[[int], bytes], drawn: Any
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server, address = start(tmp_path, port=port), f"127.0.0.1:{port}"
    server.said("holds no release yet; waiting for the first")
    with Client(address) as client:
        assert not client.ready()
        with pytest.raises(ClientError, match="NOT_FOUND"):  # it listens, and says so rather than that it is ready
            client.classify(photo(1))
    release.push(tmp_path, compose_into)
    server.said(f"^serving m3net version 1 on {address}$")

    with Askers(address, photo(40)) as askers:
        time.sleep(0.5)
        release.push(tmp_path, compose_into)
        server.said(r"^serving m3net version 2 on")
        time.sleep(0.5)
        aside = tmp_path / ".aside"
        compose_into(aside, 3, like=2)
        (aside / "variables" / "variables.index").unlink()
        aside.rename(tmp_path / "3")
        server.said(r"^version 3 refused: .*variables.index is missing")
        (junk := tmp_path / "junk").mkdir()
        (junk / "saved_model.pb").write_bytes(b"\x12\0")  # a graph of nothing
        compose_into(aside, 4, like=2, saved_model=junk)
        aside.rename(tmp_path / "4")  # whole as a release, and yet no model
        server.said(r"^version 4 refused: ")
        time.sleep(1.2)

    assert askers.failures == []
    for answer in askers.answers:  # wholly of the version it names: ids and scores both
        expected = drawn(answer.version).neighbours(40, "pocket", 5)
        assert answer.ids == [i for i, _, _ in expected]
        np.testing.assert_allclose(answer.scores, [s for _, _, s in expected], rtol=1e-5)
    for asker in askers.all:
        versions = [answer.version for answer in asker.answers]
        assert versions == sorted(versions)
        assert set(versions) == {1, 2}  # some before, some after, none of 3 or 4
    assert sum("refused" in line for line in server.lines) == 2  # once each, not once a second
    with Client(address) as client:
        assert client.ready()
    assert server.end() == 0
    assert not any("Traceback" in line for line in server.lines)
    with Client(address, timeout=2) as client:
        assert not client.ready()
        with pytest.raises(ClientError, match="no server answers"):
            client.classify(photo(1))


def test_a_missing_folder_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "none"), "--port", "0"]) == 2
    assert capsys.readouterr().err == (f"m3net serve: {tmp_path}/none is no folder; give the folder that holds the releases\n")


def test_a_port_in_use_is_one_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main([str(tmp_path), "--port", str(port)]) == 2
    assert f"m3net serve: 127.0.0.1:{port} cannot be listened on; choose another --port\n" in capfd.readouterr().err
