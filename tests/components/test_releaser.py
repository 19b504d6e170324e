"""What the Releaser does after a push: old versions go, but none that is wanted. What it puts together is drawn here."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tfx.types import standard_artifacts

from components.releaser import executor
from components.releaser.component import Releaser
from serving.release import versions
from serving.settings import SettingsError
from tests.serving import drawn


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return drawn.parts_of(1, tmp_path_factory.mktemp("parts"))


@pytest.fixture
def push(tmp_path: Path, parts: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Runs the executor over `tmp_path`/releases, blessed; returns what it pushed."""
    monkeypatch.setattr(executor, "composer", lambda *_, **__: lambda folder, version: drawn.compose(folder, version, parts))

    def run(keep: int, models_config: str = "") -> Any:
        pushed = standard_artifacts.PushedModel()
        pushed.uri = str(tmp_path / "pushed")
        properties = {"releases": str(tmp_path / "releases"), "keep": keep, "models_config": models_config}
        executor.Executor().Do({}, {"pushed_model": [pushed]}, properties)
        return pushed

    return run


def test_only_so_many_stay(tmp_path: Path, push: Callable[..., Any], capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(3):
        push(0)
    assert versions(tmp_path / "releases") == [1, 2, 3]  # 0 keeps all
    assert push(2).get_string_custom_property("pushed_version") == "4"
    assert versions(tmp_path / "releases") == [3, 4]
    assert "old releases removed: 1, 2\n" in capsys.readouterr().err


def test_what_a_label_names_stays(tmp_path: Path, push: Callable[..., Any]) -> None:
    config = tmp_path / "models.config"
    labels = 'version_labels { key: "stable" value: 1 }'
    config.write_text(f'model_config_list {{ config {{ name: "m" base_path: "/elsewhere" {labels} }} }}')
    for _ in range(3):
        push(1, str(config))
    assert versions(tmp_path / "releases") == [1, 3]
    config.write_text("model_config_list {")
    with pytest.raises(SettingsError, match=r"models\.config: no ModelServerConfig"):
        push(1, str(config))
    assert versions(tmp_path / "releases") == [1, 3]  # found before anything was pushed


def test_a_push_stands_though_the_old_cannot_be_removed(
    tmp_path: Path, push: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    push(0)

    def refuse(*_: Any) -> None:
        raise PermissionError("not yours")

    monkeypatch.setattr(executor.retention, "prune", refuse)
    assert push(1).get_int_custom_property("pushed") == 1
    assert versions(tmp_path / "releases") == [1, 2]
    assert "old releases stay: not yours" in capsys.readouterr().err


def test_a_negative_number_is_refused_when_the_pipeline_is_put_together() -> None:
    with pytest.raises(ValueError, match="0 for all; got -1"):
        Releaser("releases", keep=-1)
