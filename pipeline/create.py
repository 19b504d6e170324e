"""create_pipeline: the whole way from catalogue to release as one TFX pipeline. It reads nothing and runs nothing."""

import dataclasses
from typing import Any

# Not by way of tfx.v1, which has the same and imports Google's AI platform with it: a fifth of what a run imports.
from tfx import types
from tfx.components import ExampleValidator, SchemaGen, StatisticsGen, Trainer, Tuner
from tfx.components.schema_gen.import_schema_gen.component import ImportSchemaGen
from tfx.dsl.components.common.resolver import Resolver
from tfx.orchestration.pipeline import Pipeline
from tfx.proto.trainer_pb2 import EvalArgs, TrainArgs
from tfx.types import standard_artifacts

from components import artifacts
from components.catalogue_gen.component import CatalogueGen
from components.embedder.component import Embedder
from components.index_builder.component import IndexBuilder
from components.label_validator.baseline import StatisticsBefore
from components.label_validator.component import LabelValidator
from components.memory.component import Recall, Remember
from components.release_validator.component import ReleaseValidator
from components.releaser.component import Releaser
from components.retrieval_evaluator.baseline import BlessedBefore
from components.retrieval_evaluator.component import RetrievalEvaluator
from pipeline.config import Config

NAME = "m3net"


def create_pipeline(
    config: Config,
    *,
    root: str,
    releases: str,
    version: str = "",
    metadata: Any = None,
    memory: str = "",
    release: bool = True,
) -> Pipeline:
    """The pipeline of `config`; with `data.labels_only`, its beginning: the catalogue and the judge of its labels.

    Args:
        root: where artifacts go. releases: where releases go.
        version: names the state of the catalogue and its photos; a run with the same one is answered from cache.
        metadata: a connection config of ML Metadata; None where the orchestrator has its own.
        release: False ends with the evaluation, beside nothing that was blessed before: a run of a study.
        memory: a folder that keeps what a run leaves to the next, where the orchestrator looks up nothing itself: Kubeflow.
    """
    examples = _examples(config, version)
    recall = Recall(memory, version) if memory else None
    labels = _validated(config, examples.outputs["labels"], recall)
    if config.data.labels_only:
        kept = [Remember(memory, *_passed(labels))] if memory else []
        return _pipeline(config, root, metadata, [examples, *labels, *kept])
    training = _training(config, examples, labels, recall)
    inputs = {"examples": examples.outputs["examples"], "model": training[-1].outputs["model"]}
    baseline = recall or _baseline(inputs["model"])
    embeddings = Embedder(**inputs)
    evaluator = RetrievalEvaluator(
        **inputs,
        embeddings=embeddings.outputs["embeddings"],
        baseline_model=baseline.outputs["model"] if release else None,
        system=config.model.recipe or config.model.system,
        dataset=config.dataset,
        **dataclasses.asdict(config.evaluation),
    )
    if not release:
        return _pipeline(config, root, metadata, [examples, *labels, *training, embeddings, evaluator])
    index = IndexBuilder(
        embeddings.outputs["embeddings"], inputs["examples"], config.index.splits, config.index.scann_above, config.index.recall
    )
    parts = {**inputs, "index": index.outputs["index"], "evaluation": evaluator.outputs["evaluation"]}
    validator = ReleaseValidator(config.index.splits, **parts, embeddings=embeddings.outputs["embeddings"])
    blessings = {"model_blessing": evaluator.outputs["blessing"], "infra_blessing": validator.outputs["blessing"]}
    releaser = Releaser(releases, config.release.keep, config.release.models_config, **parts, **blessings)
    steps = [examples, *labels, *training, baseline, embeddings, evaluator, index, validator, releaser]
    if memory:
        steps.remove(recall)  # it stands before the labels' judge already
        steps.append(Remember(memory, *_passed(labels), inputs["model"], evaluator.outputs["blessing"]))
    return _pipeline(config, root, metadata, steps)


def _examples(config: Config, version: str) -> CatalogueGen:
    data = config.data
    sizes = (data.long_side, data.shards, data.max_reject_share)
    return CatalogueGen(
        data.catalogue,
        version,
        data.taxonomy,
        *sizes,
        data_format=data.format,
        labels_only=data.labels_only,
        near_duplicates=data.near_duplicates,
        near_duplicate_bits=data.near_duplicate_bits,
    )


def _training(config: Config, examples: Any, labels: list[Any], recall: Any) -> list[Any]:
    """The Trainer (the last), and what stands before it. Args: labels: of `_validated`."""
    # Blessed before these Examples were made: a run with nothing changed then begins with the same model, and is all cache.
    warm = (recall or _baseline(examples.outputs["examples"], "warm_start")) if config.training.warm_start == "last" else None
    tuner = _tuner(config, examples, labels[1]) if config.tuning.trials else None
    trainer = Trainer(
        base_model=warm.outputs["model"] if warm else None,
        examples=examples.outputs["examples"],
        hyperparameters=tuner.outputs["best_hyperparameters"] if tuner else None,
        schema=labels[1].outputs["schema"],
        run_fn="models.trainer.run_fn",
        train_args=TrainArgs(splits=["train"]),
        eval_args=EvalArgs(splits=["valid"]),
        custom_config={"model": dataclasses.asdict(config.model), "training": dataclasses.asdict(config.training)},
    )
    for node in filter(None, (tuner, trainer)):
        node.add_upstream_node(labels[-1])  # labels that stop a run cost no training
    return [*filter(None, (warm if not recall else None, tuner)), trainer]


def _tuner(config: Config, examples: Any, schema: Any) -> Tuner:
    parts = ("model", "training", "tuning")
    return Tuner(
        examples=examples.outputs["examples"],
        schema=schema.outputs["schema"],
        tuner_fn="models.tuner.tuner_fn",
        train_args=TrainArgs(splits=["train"]),
        eval_args=EvalArgs(splits=["valid"]),
        custom_config={part: dataclasses.asdict(getattr(config, part)) for part in parts},
    )


def _pipeline(config: Config, root: str, metadata: Any, steps: list[Any]) -> Pipeline:
    return Pipeline(
        pipeline_name=NAME,
        pipeline_root=root,
        components=steps,
        enable_cache=True,
        metadata_connection_config=metadata,
        beam_pipeline_args=config.beam.options(),
    )


def _passed(labels: list[Any]) -> tuple[types.BaseChannel, types.BaseChannel]:
    """The statistics of `_validated`, and what says that they passed."""
    return labels[0].outputs["statistics"], labels[-1].outputs["checks"]


def _validated(config: Config, labels: types.BaseChannel, recall: Any) -> list[Any]:
    """Statistics of the labels, their schema (the second), what leaves it, the last run's, and the judge (the last)."""
    validation = config.validation
    statistics = StatisticsGen(examples=labels)
    found = statistics.outputs["statistics"]
    schema = (
        ImportSchemaGen(schema_file=validation.schema)
        if validation.schema
        else SchemaGen(statistics=found, infer_feature_shape=False)
    )
    anomalies = ExampleValidator(statistics=found, schema=schema.outputs["schema"])
    before = recall or _statistics_before(found)
    judge = LabelValidator(
        labels=labels,
        statistics=found,
        schema=schema.outputs["schema"],
        anomalies=anomalies.outputs["anomalies"],
        baseline_statistics=before.outputs["statistics"],
        max_skew=validation.max_skew,
        max_drift=validation.max_drift,
        on_anomaly=validation.on_anomaly,
    )
    return [statistics, schema, anomalies, before, judge]


def _statistics_before(current: types.BaseChannel) -> Resolver:
    channels = {
        "statistics": types.Channel(type=standard_artifacts.ExampleStatistics),
        "checks": types.Channel(type=artifacts.LabelChecks),
        StatisticsBefore.CURRENT: current,
    }
    return Resolver(strategy_class=StatisticsBefore, **channels).with_id("last_statistics")


def _baseline(current: types.BaseChannel, name: str = "last_blessed_model") -> Resolver:
    """The last model that was blessed before `current` was made."""
    channels = {
        "model": types.Channel(type=standard_artifacts.Model),
        "model_blessing": types.Channel(type=standard_artifacts.ModelBlessing),
        BlessedBefore.CURRENT: current,
    }
    return Resolver(strategy_class=BlessedBefore, **channels).with_id(name)
