"""create_pipeline: the whole way from catalogue to release as one TFX pipeline. It reads nothing and runs nothing."""

import dataclasses
from typing import Any

from tfx import types
from tfx import v1 as tfx
from tfx.types import standard_artifacts

from components.catalogue_gen.component import CatalogueGen
from components.embedder.component import Embedder
from components.index_builder.component import IndexBuilder
from components.release_validator.component import ReleaseValidator
from components.releaser.component import Releaser
from components.retrieval_evaluator.baseline import CURRENT, BlessedBefore
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
    baseline_strategy: type[tfx.dsl.experimental.ResolverStrategy] = BlessedBefore,
) -> tfx.dsl.Pipeline:
    """The pipeline of `config`.

    Args:
        root: where artifacts go. releases: where releases go.
        version: names the state of the catalogue and its photos; a run with the same one is answered from cache.
        metadata: a connection config of ML Metadata; None where the orchestrator has its own.
        baseline_strategy: finds the last blessed model; Kubeflow knows only the stock one.
    """
    data = config.data
    examples = CatalogueGen(data.catalogue, version, data.taxonomy, data.long_side, data.shards, data.max_reject_share)
    statistics = tfx.components.StatisticsGen(examples=examples.outputs["labels"])
    schema = tfx.components.SchemaGen(statistics=statistics.outputs["statistics"], infer_feature_shape=False)
    anomalies = tfx.components.ExampleValidator(statistics=statistics.outputs["statistics"], schema=schema.outputs["schema"])
    trainer = tfx.components.Trainer(
        examples=examples.outputs["examples"],
        schema=schema.outputs["schema"],
        run_fn="models.trainer.run_fn",
        train_args=tfx.proto.TrainArgs(splits=["train"]),
        eval_args=tfx.proto.EvalArgs(splits=["valid"]),
        custom_config={"model": dataclasses.asdict(config.model), "training": dataclasses.asdict(config.training)},
    )
    inputs = {"examples": examples.outputs["examples"], "model": trainer.outputs["model"]}
    baseline = _baseline(inputs["model"], baseline_strategy)
    embeddings = Embedder(**inputs)
    evaluator = RetrievalEvaluator(
        **inputs,
        embeddings=embeddings.outputs["embeddings"],
        baseline_model=baseline.outputs["model"],
        system=config.model.system,
        dataset=config.dataset,
        **dataclasses.asdict(config.evaluation),
    )
    index = IndexBuilder(
        embeddings.outputs["embeddings"], inputs["examples"], config.index.splits, config.index.scann_above, config.index.recall
    )
    parts = {**inputs, "index": index.outputs["index"], "evaluation": evaluator.outputs["evaluation"]}
    validator = ReleaseValidator(config.index.splits, **parts, embeddings=embeddings.outputs["embeddings"])
    blessings = {"model_blessing": evaluator.outputs["blessing"], "infra_blessing": validator.outputs["blessing"]}
    releaser = Releaser(releases, **parts, **blessings)
    steps = [examples, statistics, schema, anomalies, trainer, baseline, embeddings, evaluator, index, validator, releaser]
    return tfx.dsl.Pipeline(
        pipeline_name=NAME,
        pipeline_root=root,
        components=steps,
        enable_cache=True,
        metadata_connection_config=metadata,
        beam_pipeline_args=list(config.beam.args),
    )


def _baseline(current: types.BaseChannel, strategy: type[tfx.dsl.experimental.ResolverStrategy]) -> tfx.dsl.Resolver:
    channels = {
        "model": tfx.dsl.Channel(type=standard_artifacts.Model),
        "model_blessing": tfx.dsl.Channel(type=standard_artifacts.ModelBlessing),
    }
    if strategy is BlessedBefore:
        channels[CURRENT] = current
    return tfx.dsl.Resolver(strategy_class=strategy, **channels).with_id("last_blessed_model")
