"""Which versions answer: policies, labels, reloads and unloading, with real releases."""

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from serving import manager as managing
from serving import release
from serving.call import Code, RequestError
from serving.manager import Manager, Status
from serving.policy import ModelConfig, Policy
from serving.protos import model_pb2, model_server_config_pb2
from serving.servable import Servable


@pytest.fixture
def releases(tmp_path: Path, compose_into: Callable[..., release.Manifest]) -> Path:
    """Versions 1, 2 and 3, all of the first one's parts."""
    for _ in range(3):
        release.push(tmp_path, lambda folder, version: compose_into(folder, version, like=1))
    return tmp_path


@pytest.fixture
def managed() -> Iterator[Callable[..., Manager]]:
    """A manager after its first refresh, closed in the end."""
    made: list[Manager] = []

    def make(path: Path, policy: Policy | None = None, labels: dict[str, int] | None = None) -> Manager:
        config = ModelConfig(path, policy or Policy(), labels or {})
        made.append(Manager({"m": config}, lambda _, folder: Servable(folder)))
        made[-1].refresh()
        return made[-1]

    yield make
    for one in made:
        one.close()


def spec(version: int = 0, label: str = "", name: str = "m") -> Any:
    made = model_pb2.ModelSpec(name=name)
    if version:
        made.version.value = version
    if label:
        made.version_label = label
    return made


def answering(manager: Manager, asked: Any) -> int | str:
    """The version that answers, or the code of the refusal."""
    try:
        with manager.use(asked) as servable:
            return servable.manifest.version
    except RequestError as error:
        return str(error.code.name)


def states(manager: Manager) -> dict[int, int]:
    return {version: state for version, state, _ in manager.states(spec())}


def test_several_versions_and_labels_at_once(releases: Path, managed: Callable[..., Manager]) -> None:
    manager = managed(releases, Policy(latest=2), {"canary": 3, "stable": 2, "old": 1})
    assert states(manager) == {3: Status.AVAILABLE, 2: Status.AVAILABLE}
    asked = [spec(), spec(2), spec(3), spec(1), spec(label="stable"), spec(label="canary")]
    assert [answering(manager, one) for one in asked] == [3, 2, 3, "NOT_FOUND", 2, 3]
    assert answering(manager, spec(label="x")) == "INVALID_ARGUMENT"
    assert answering(manager, spec(label="old")) == "NOT_FOUND"  # a label whose version is not served
    assert manager.ready() == {"m": True}


def config(path: Path, labels: dict[str, int], name: str = "m", latest: int = 1) -> Any:
    message = model_server_config_pb2.ModelServerConfig()
    one = message.model_config_list.config.add(name=name, base_path=str(path), model_platform="tensorflow")
    one.model_version_policy.latest.num_versions = latest
    one.version_labels.update(labels)
    return message


def test_reloads(releases: Path, managed: Callable[..., Manager]) -> None:
    manager = managed(releases)
    manager.reload(config(releases, {"stable": 2, "canary": 3}, latest=2))
    assert [answering(manager, spec(label=label)) for label in ("stable", "canary")] == [2, 3]
    with pytest.raises(RequestError, match="assign label to version 9 of model m") as caught:
        manager.reload(config(releases, {"stable": 9}, latest=2))
    assert caught.value.code is Code.FAILED_PRECONDITION
    assert answering(manager, spec(label="stable")) == 2  # as before
    with pytest.raises(RequestError, match="did not become available"):
        manager.reload(config(releases / "none", {}))
    with pytest.raises(RequestError, match="Only ModelConfigList"):
        manager.reload(model_server_config_pb2.ModelServerConfig())
    assert answering(manager, spec()) == 3
    manager.reload(config(releases, {}, name="other"))
    assert [answering(manager, spec(name=name)) for name in ("m", "other")] == ["NOT_FOUND", 3]
    assert manager.ready() == {"other": True}


def test_a_reload_that_names_only_versions_that_are_not_there_takes_nothing_away(
    releases: Path, managed: Callable[..., Manager]
) -> None:
    manager, named = managed(releases), config(releases, {})
    named.model_config_list.config[0].model_version_policy.specific.versions.append(9)
    manager.reload(named)
    assert [answering(manager, one) for one in (spec(), spec(3), spec(9))] == [3, 3, "NOT_FOUND"]
    (releases / "3").rename(releases / "9")
    manifest = releases / "9" / release.MANIFEST
    manifest.write_text(manifest.read_text().replace('"version": 3', '"version": 9'))
    manager.refresh()  # once it comes, it takes over
    assert [answering(manager, one) for one in (spec(), spec(3), spec(9))] == [9, "NOT_FOUND", 9]


def test_a_reload_to_another_folder_takes_its_version_of_the_same_number(
    releases: Path, managed: Callable[..., Manager], compose_into: Callable[..., release.Manifest], tmp_path: Path
) -> None:
    manager = managed(releases)
    other = tmp_path / "other"
    for _ in range(3):
        release.push(other, lambda folder, version: compose_into(folder, version, like=2))
    with manager.use(spec()) as before:
        pass
    manager.reload(config(other, {}))
    with manager.use(spec()) as after:
        assert (before.manifest.model, after.manifest.model) == tuple(
            release.verify(folder / "3").model for folder in (releases, other)
        )
        assert before.manifest.model != after.manifest.model


def test_a_version_in_use_is_unloaded_only_after_it(
    releases: Path,
    managed: Callable[..., Manager],
    compose_into: Callable[..., release.Manifest],
    photo: Callable[[int], bytes],
) -> None:
    manager = managed(releases)
    with manager.use(spec()) as servable:
        release.push(releases, lambda folder, version: compose_into(folder, version, like=1))
        refresh = threading.Thread(target=manager.refresh)
        refresh.start()
        end = time.monotonic() + 30
        while states(manager).get(3) != Status.UNLOADING:
            assert time.monotonic() < end
            time.sleep(0.01)
        assert answering(manager, spec()) == 4  # the new one answers already
        assert answering(manager, spec(3)) == "NOT_FOUND"
        inputs = {"image": np.array([photo(1)], object), "attribute": np.array([b"pocket"], object)}
        assert servable.predict("embed", inputs)["vector"].shape == (1, 8)  # and the old one still does for its request
        assert refresh.is_alive()
    refresh.join(30)
    assert states(manager) == {4: Status.AVAILABLE, 3: Status.END}


def test_a_damaged_newest_one_is_told_of_and_tried_again(
    releases: Path, managed: Callable[..., Manager], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = releases.parent / "whole"
    shutil.copytree(releases / "3", whole)
    (releases / "3" / "saved_model.pb").write_bytes(b"")
    manager = managed(releases)
    assert answering(manager, spec()) == 2
    told = {version: (state, error) for version, state, error in manager.states(spec())}
    assert told[3][0] == Status.END
    assert "saved_model.pb has changed" in told[3][1]
    manager.refresh()
    assert capsys.readouterr().err.count("version 3 refused") == 1  # not at every look
    monkeypatch.setattr(managing, "RETRY_SECONDS", 0.0)
    shutil.copyfile(whole / "saved_model.pb", releases / "3" / "saved_model.pb")
    manager._models["m"].versions[3].retry_at = 0.0
    manager.refresh()
    assert answering(manager, spec()) == 3


def test_a_version_taken_away_gives_way_to_the_older_and_an_empty_folder_to_nothing(
    releases: Path, managed: Callable[..., Manager]
) -> None:
    manager = managed(releases)
    shutil.rmtree(releases / "3")
    manager.refresh()
    assert states(manager) == {3: Status.END, 2: Status.AVAILABLE}
    for version in (1, 2):
        shutil.rmtree(releases / str(version))
    manager.refresh()
    releases.rename(releases.parent / "away")
    manager.refresh()
    assert answering(manager, spec()) == 2  # what is loaded goes on answering
