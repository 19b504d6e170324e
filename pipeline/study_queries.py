"""What a finished run answered, query by query: kept beside its results, made of the Embeddings that the run left."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from components.errors import InputError
from components.retrieval_evaluator.measure import Measured, measure_all

FILE = "queries.parquet"
ASKED = ("attribute", "id", "labels")  # what makes two queries the same; under the protocol "pair" an image has several
AVERAGE_PRECISION = "average_precision"


def read(run: Path, key: str) -> pa.Table | None:
    """A row a query, in one order: `ASKED` and its average precision. None unless the folder `run` keeps those of `key`."""
    file = run / FILE
    if not file.is_file():
        return None
    table = pq.read_table(file)
    return table if table.schema.metadata.get(b"key") == key.encode() else None


def keep(output: Path, run: Path, found: dict[str, Any]) -> None:
    """Writes what `read` gives for the run in the folder `run`, of the study in `output`, whose results.json is `found`.

    Raises: InputError where the run's artifacts are gone, or nothing can be written.
    """
    measured = _measured(*_artifacts(output, found), found)
    rows = [
        {"attribute": name, "id": image, "labels": np.flatnonzero(labels).tolist(), AVERAGE_PRECISION: float(precision)}
        for name, one in measured.items()
        for image, labels, precision in zip(one.images, one.classes, one.metrics.average_precision, strict=True)
    ]
    labels_type = pa.list_(pa.int32())
    columns = [("attribute", pa.string()), ("id", pa.string()), ("labels", labels_type), (AVERAGE_PRECISION, pa.float64())]
    # The key in the file itself: results.json is written apart, and a kill may come between.
    table = pa.Table.from_pylist(rows, pa.schema(columns, {"key": found["key"]}))
    partial = run / f"{FILE}.partial"
    try:
        pq.write_table(table, partial)
        partial.replace(run / FILE)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise InputError(f"{run / FILE} cannot be written: {error.strerror or error}") from None


def _artifacts(output: Path, found: dict[str, Any]) -> tuple[Path, Path]:
    """The Evaluation that says what `found` says, and the Embeddings it is of. Raises: InputError where they are gone."""
    from pipeline.lineage import Lineage

    lineage = Lineage(output)
    for execution in lineage.ended("RetrievalEvaluator"):
        try:
            evaluation = lineage.place(lineage.artifacts(execution.id, inputs=False)["evaluation"])
            embeddings = lineage.place(lineage.artifacts(execution.id, inputs=True)["embeddings"])
            said = json.loads((evaluation / "results.json").read_text(encoding="utf-8"))
        except (InputError, OSError):
            continue  # an older run's, cleared away
        if {**found, **said} == found:  # the study added to it, and changed nothing
            return evaluation, embeddings
    raise InputError(f"{output} has no Embeddings of this run any more")


def _measured(evaluation: Path, embeddings: Path, found: dict[str, Any]) -> dict[str, Measured]:
    """From the ranks that Beam left where one process would hold too much, else ranked again: seconds."""
    if not (evaluation / "queries").is_dir():
        return measure_all(embeddings, found["split"], found["protocol"])
    from components.retrieval_evaluator.beam_measure import read_measured

    return read_measured(evaluation / "queries")
