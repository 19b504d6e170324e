"""What a release is put together from: the artifacts of a run, as one function that fills a folder."""

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.dataset as ds
from tfx.types import artifact_utils
from tfx.utils import path_utils

from components.index_builder.build import INDEX, ITEMS
from components.releaser.gallery import gallery_of
from components.releaser.model_card import render
from components.releaser.provenance import provenance
from models.export_gallery import export_with
from models.taxonomy import Taxonomy
from serving.release import Manifest, compose


def composer(input_dict: dict[str, Any], run: str = "") -> Callable[[Path, int], Manifest]:
    """Takes a run's `model`, `index`, `examples` and `evaluation`; the function returned fills (folder, version).

    `run`: the pipeline run's id, "" where the orchestrator tells its components none.
    """
    uris = {key: Path(artifact_utils.get_single_uri(input_dict[key])) for key in ("model", "index", "examples", "evaluation")}
    results = json.loads((uris["evaluation"] / "results.json").read_text(encoding="utf-8"))
    items, made_by = uris["index"] / ITEMS, provenance(input_dict)

    def fill(folder: Path, version: int) -> Manifest:
        taxonomy = Taxonomy.load(uris["examples"])
        # Named as the unfinished release: the next push sweeps both away where a kill left them.
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f"{folder.name}-") as scratch:
            return compose(
                folder,
                version,
                saved_model=_searched(
                    Path(path_utils.serving_model_path(str(uris["model"]))), uris["index"], taxonomy, scratch
                ),
                index=uris["index"] / INDEX,
                items=items,
                taxonomy=taxonomy,
                system=results["system"],
                dataset=results["dataset"],
                metrics=results["overall"],
                counts={"items": ds.dataset(items).count_rows()},
                warmup_image=first_photo(uris["examples"]),
                run=run,
                provenance=made_by,
                model_card=render(version, run, results, made_by, taxonomy, items),
            )

    return fill


def _searched(saved_model: Path, index: Path, taxonomy: Taxonomy, scratch: str) -> Path:
    """The model with its gallery inside, written below `scratch`; where that is too large, the model as it is."""
    gallery = gallery_of(index / INDEX, index / ITEMS, taxonomy)
    if gallery is None:
        return saved_model
    export_with(saved_model, Path(scratch) / "model", taxonomy, gallery)
    return Path(scratch) / "model"


def first_photo(examples: Path) -> bytes:
    """One stored JPEG of the test split."""
    import tensorflow as tf

    files = sorted(str(path) for path in (examples / "Split-test").iterdir())
    for record in tf.data.TFRecordDataset(files).take(1):
        example = tf.train.Example.FromString(record.numpy())
        return bytes(example.features.feature["image/encoded"].bytes_list.value[0])
    raise ValueError(f"{examples}: the test split is empty")
