"""The configuration: what is shipped loads, what is misspelt is named."""

from pathlib import Path

import pytest

from pipeline.config import QUICK, ConfigError, load


def test_the_shipped_configuration_loads_and_can_be_overridden() -> None:
    config = load(
        QUICK,
        ["training.epochs=3", "index.splits=[test]", "model.system=m3net", "training.margin=1", "training.weight_decay=1e-3"],
    )
    assert (config.training.epochs, config.index.splits, config.model.system) == (3, ("test",), "m3net")
    assert (config.training.margin, config.training.weight_decay) == (1.0, 1e-3)


@pytest.mark.parametrize(("text", "words"), [
    ("trainig: {epochs: 3}", 'unknown key "trainig"; did you mean "training"?'),
    ("training: {epoch: 3}", 'unknown key "training.epoch"; did you mean "epochs"?'),
    ("training: {epochs: many}", "training.epochs is a int"),
    ("training: 3", "training. holds keys and values"),
    ("training: {learning_rate: high}", "training.learning_rate is a number"),
    ("training: {learning_rate: .inf}", "not finite"),
    ("training: {epochs: 0}", "training.epochs: at least 1; got 0"),
    ("training: {margin: -0.2}", "training.margin: not negative"),
    ("model: {system: m3nett}", 'no system "m3nett"; did you mean "m3net"?'),
    ("model: {backbone: vgg}", 'no backbone "vgg"; there are: small'),
    ("evaluation: {min_map: 50}", "a fraction in [0, 1], not a percentage; got 50"),
    ("data: {format: asenn}", 'no format "asenn"; did you mean "asen"?'),
    ("data: {labels_only: 1}", "data.labels_only is a bool"),
    ("evaluation: {protocol: x}", 'no protocol "x"; there are: attribute, pair'),
    ("index: {splits: [tset]}", 'no split "tset"; did you mean "test"?'),
    ("beam: {args: [--runner=DaskRunner]}", "DaskRunner loses data without a word"),
    ("beam: {args: [--runner=FlinkRuner]}", 'no runner "FlinkRuner"; did you mean "FlinkRunner"?'),
    ("index: {splits: []}", "name at least one split"),
    ("[", "not YAML"),
    ("- a", "expected parts"),
])  # fmt: skip
def test_a_mistake_is_one_line_with_what_to_do(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load(file)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_override_needs_part_key_and_value() -> None:
    for override in ("epochs=3", "training.epochs", "=3"):
        with pytest.raises(ConfigError, match=r"expected part\.key=value"):
            load(QUICK, [override])
    with pytest.raises(ConfigError, match="no such file"):
        load(Path("nowhere.yaml"))
