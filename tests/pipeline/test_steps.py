"""--from and --until: names that are the pipeline's, one line for what cannot be, and exactly the steps that should run."""

from pathlib import Path
from typing import Any

import pytest
from tfx.dsl.compiler import compiler

from pipeline.config import QUICK, Config, ConfigError, load
from pipeline.create import create_pipeline
from pipeline.steps import names, require, select

RESOLVERS = {"last_statistics", "last_blessed_model"}


def configured(*more: str) -> Config:
    return load(QUICK, ["data.catalogue=/c.csv", *more])


def compiled(config: Config) -> Any:
    return compiler.Compiler().compile(create_pipeline(config, root="/r", releases="/v"))


def chosen(first: str, last: str) -> tuple[set[str], set[str]]:
    """Of the whole pipeline: what runs anew, and what runs at all."""
    ir = compiled(configured())
    select(ir, first, last)
    options = {node.pipeline_node.node_info.id: node.pipeline_node.execution_options for node in ir.nodes}
    runs = {name for name, one in options.items() if not one.HasField("skip")}
    return {name for name in runs if not options[name].caching_options.enable_cache}, runs


@pytest.mark.parametrize("more", [(), ("data.labels_only=true",), ("validation.schema=/s.pbtxt",)])
def test_the_names_are_those_of_the_pipeline(more: tuple[str, ...]) -> None:
    config = configured(*more)
    assert {node.pipeline_node.node_info.id for node in compiled(config).nodes} - RESOLVERS == set(names(config))


def test_until_skips_what_the_step_does_not_need() -> None:
    anew, runs = chosen("", "Trainer")
    assert anew == set()
    assert runs == {*names(configured())[:6], "last_statistics"}


def test_from_runs_the_step_and_all_that_follows_anew() -> None:
    anew, runs = chosen("RetrievalEvaluator", "")
    assert anew == {"RetrievalEvaluator", "ReleaseValidator", "Releaser"}
    assert runs == {*names(configured()), *RESOLVERS}


def test_from_and_until_together() -> None:
    anew, runs = chosen("Embedder", "RetrievalEvaluator")
    assert anew == {"Embedder", "RetrievalEvaluator"}
    assert "IndexBuilder" not in runs


def test_neither_is_the_pipeline_as_it_was() -> None:
    assert chosen("", "") == (set(), {*names(configured()), *RESOLVERS})


def test_steps_that_have_nothing_to_do_with_one_another() -> None:
    with pytest.raises(ConfigError, match="--until IndexBuilder does not follow from --from RetrievalEvaluator"):
        chosen("RetrievalEvaluator", "IndexBuilder")


@pytest.mark.parametrize(
    ("first", "last", "line"),
    [
        ("Trainr", "", '--from: no step "Trainr"; did you mean "Trainer"\\? there are: CatalogueGen, StatisticsGen'),
        ("", "last_statistics", '--until: no step "last_statistics"; .*there are: CatalogueGen'),
        ("Embedder", "Trainer", "--from Embedder comes after --until Trainer; the order is: CatalogueGen"),
        ("zzz", "", '--from: no step "zzz"; there are: CatalogueGen'),
    ],
)
def test_what_cannot_be_is_one_line(first: str, last: str, line: str) -> None:
    with pytest.raises(ConfigError, match=line) as raised:
        require(configured(), first, last)
    assert "\n" not in str(raised.value)


def test_labels_only_has_no_trainer() -> None:
    with pytest.raises(ConfigError, match="--until: no step"):
        require(configured("data.labels_only=true"), "", "Trainer")


def test_from_a_step_of_a_run_that_never_was(tmp_path: Path) -> None:
    from components.errors import InputError
    from pipeline import local

    with pytest.raises(InputError, match="holds no run whose earlier steps could be taken; leave --from out"):
        local.run(configured(), tmp_path / "none", first="Trainer")
