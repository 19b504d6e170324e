"""docs/runners.md: every block of options is one that the configuration takes and that Beam's own parser knows."""

import re
from pathlib import Path

import pytest
import yaml
from apache_beam.options.pipeline_options import PipelineOptions

from pipeline.config import load

BLOCKS = re.findall(r"```yaml\n(.*?)```", (Path(__file__).parents[2] / "docs" / "runners.md").read_text(), re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS)
def test_every_option_parses_to_the_value_it_shows(block: str, tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(block)
    args = load(file).beam.args
    assert list(args) == yaml.safe_load(block)["beam"]["args"]
    parsed = PipelineOptions(list(args)).get_all_options()
    for key, sign, value in (arg.removeprefix("--").partition("=") for arg in args):
        assert sign, f"{key} has no value"
        assert key in parsed, f"Beam knows no --{key}"
        assert parsed[key] in (value, [value]) or str(parsed[key]) == value


def test_all_runners_are_shown() -> None:
    runners = {arg for block in BLOCKS for arg in yaml.safe_load(block)["beam"]["args"] if arg.startswith("--runner=")}
    assert {name.partition("=")[2] for name in runners} == {
        "DirectRunner",
        "FlinkRunner",
        "PortableRunner",
        "SparkRunner",
        "DataflowRunner",
    }
