"""The configuration: what is shipped loads, what is misspelt is named."""

from pathlib import Path

import pytest
import yaml

from models.registry import SYSTEMS
from models.training import stage_epochs
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
    ("training: {sampling: documented}", "training.sampling: documented gives triplets, which train only asen"),
    ("model: {rank: 8}", "model.rank: shortens what model.kappa adds to a vector, and that is 0; set model.kappa too"),
    ("training: {sampling: tripels}", 'no sampling "tripels"; there are: in_batch, balanced, documented'),
    ("training: {schedule: steps}", 'no schedule "steps"; did you mean "step"?'),
    ("training: {average: 1}", "training.average: below 1"),
    ("training: {zoom: 1}", "training.zoom: below 1"),
    ("model: {balance: 2}", "model.balance: a fraction in [0, 1]"),
    ("training: {views: 0}", "training.views: at least 1"),
    ("recipes: [asen]", "recipes: expected names of systems"),
    ("model: {system: asen@mine}", 'has no recipe "asen@mine"'),
    ("model: {system: asen@mine}\nrecipes: {asen@mines: {}}", 'no recipe "asen@mine"; did you mean "asen@mines"?'),
    ("recipes: {m3net+: {training: {epoch: 3}}}", 'unknown key "training.epoch"; did you mean "epochs"?'),
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


def test_a_recipe_stands_above_the_file_and_below_what_is_typed(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(
        "training: {epochs: 9, batch_size: 8}\n"
        "recipes:\n"
        "  asen: {training: {epochs: 5}, model: {kappa: 0.5}}\n"
        "  asen@documented: {training: {sampling: documented}}\n"
    )
    assert load(file).training.epochs == 9
    one = load(file, ["model.system=asen"])
    assert (one.training.epochs, one.training.batch_size, one.model.kappa) == (5, 8, 0.5)
    assert load(file, ["training.epochs=3", "model.system=asen"]).training.epochs == 3
    two = load(file, ["model.system=asen@documented"])
    assert (two.training.epochs, two.training.sampling) == (9, "documented")
    assert (two.model.system, two.model.recipe, one.model.recipe) == ("asen", "asen@documented", "")


@pytest.mark.parametrize("file", sorted(QUICK.parent.glob("*.yaml")), ids=lambda file: file.stem)
def test_every_recipe_that_is_shipped_loads(file: Path) -> None:
    names = yaml.safe_load(file.read_text())["recipes"]
    for name in {*SYSTEMS, *names}:
        config = load(file, [f"model.system={name}"])
        assert config.model.system == name.split("@")[0]
        if file != QUICK and "asen" in name:
            assert config.training.sampling == ("in_batch" if name.endswith("in_batch") else "documented")


def test_the_papers_settings() -> None:
    """Adam 1e-4, 16 triplets a batch, 100,000 an epoch; V1 200 epochs x 0.985, V2 50 x 0.9 every 3, ASEN++ 50 and 20."""
    shown = {}
    for name in ("asen", "asen_v2", "asen++"):
        one = load(QUICK.parent / "fashionai.yaml", [f"model.system={name}"]).training
        assert (one.learning_rate, one.batch_size, one.triplets, one.weight_decay) == (1e-4, 16, 100_000, 0)
        stages = 2 if name == "asen++" else 1
        shown[name] = (stage_epochs(one, stages), one.decay, one.decay_epochs, one.flip)
    assert shown == {"asen": ([200], 0.985, 1, True), "asen_v2": ([50], 0.9, 3, True), "asen++": ([50, 20], 0.9, 3, False)}


def test_nothing_behind_the_sign_is_an_empty_text() -> None:
    assert load(QUICK.parent / "darn.yaml", ["model.weights="]).model.weights == ""


def test_an_override_needs_part_key_and_value() -> None:
    for override in ("epochs=3", "training.epochs", "=3"):
        with pytest.raises(ConfigError, match=r"expected part\.key=value"):
            load(QUICK, [override])
    with pytest.raises(ConfigError, match="no such file"):
        load(Path("nowhere.yaml"))
