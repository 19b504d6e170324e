"""Runs ingestion and judges its counts: too many rejects, or nothing to train or test on, stops with one line."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from apache_beam.io.filesystems import FileSystems
from tfx.dsl.components.base import base_beam_executor
from tfx.types import artifact_utils

from components.catalogue_gen.ingest import REJECTED, ingest
from components.catalogue_gen.readers.reader import reader_of
from components.catalogue_gen.rows import SPLITS
from components.errors import InputError
from models.taxonomy import Taxonomy

_SHOWN = 3  # rejects quoted in a message


class Executor(base_beam_executor.BaseBeamExecutor):
    """Executor of `CatalogueGen`."""

    def Do(self, input_dict: dict[str, Any], output_dict: dict[str, Any], exec_properties: dict[str, Any]) -> None:
        """Keys: `CatalogueGenSpec`. Raises: InputError for what the user can mend."""
        catalogue, labels_only = exec_properties["catalogue"], bool(exec_properties["labels_only"])
        columns = reader_of(exec_properties["format"]).columns(catalogue)
        given = _given(exec_properties["taxonomy"], columns)
        uris: list[str] = []
        for key in ("examples", "labels"):
            artifact = artifact_utils.get_single_instance(output_dict[key])
            artifact.split_names = artifact_utils.encode_split_names(list(SPLITS))
            uris.append(artifact.uri)
        with self._make_beam_pipeline() as pipeline:
            sizes = (exec_properties["long_side"], exec_properties["shards"])
            ingest(pipeline, catalogue, uris[0], uris[1], given, *sizes, exec_properties["format"], labels_only)
        _judge(catalogue, uris[0], exec_properties["max_reject_share"], () if labels_only else ("train", "test"))
        if left_out := [name for name in columns if name not in Taxonomy.load(Path(uris[0])).names]:
            why = "the given taxonomy does not name them" if given else "no photo has a label there"
            print(f"  columns left out, {why}: {', '.join(left_out)}", file=sys.stderr)


def _given(path: str, columns: list[str]) -> Taxonomy | None:
    if not path:
        return None
    try:
        with FileSystems.open(path) as file:
            taxonomy = Taxonomy.from_json(file.read().decode())
    except (OSError, ValueError) as error:
        raise InputError(f"data.taxonomy: {path} cannot be read: {error}") from None
    if missing := [name for name in taxonomy.names if name not in columns]:
        raise InputError(f'data.taxonomy: the catalogue has no column "{missing[0]}"; it has: {", ".join(columns)}')
    return taxonomy


def _judge(catalogue: str, examples: str, max_reject_share: float, needed: Sequence[str] = ("train", "test")) -> None:
    with FileSystems.open(f"{examples}/counts.json") as file:
        counts: dict[str, int] = json.loads(file.read())
    rows, rejected = sum(counts.values()), counts.get(REJECTED, 0)
    if rows == 0:
        raise InputError(f"{catalogue} has no row; add a row for every photo")
    if rejected > max_reject_share * rows or rejected == rows:
        raise InputError(
            f"{catalogue}: {rejected:,} of {rows:,} rows rejected, more than data.max_reject_share "
            f"({max_reject_share:.0%}) allows: {_examples_of(examples)}; correct them, or raise that share"
        )
    if empty := [split for split in needed if not counts.get(split)]:
        shares = ", ".join(f"{split} {counts.get(split, 0)}" for split in SPLITS)
        raise InputError(f"{catalogue}: no photo in {empty[0]} ({shares}); add photos, or fill the column split")


def _examples_of(examples: str) -> str:
    found = FileSystems.match([f"{examples}/rejects/*.jsonl"])[0].metadata_list
    with FileSystems.open(found[0].path) as file:
        rejects = [json.loads(line) for _, line in zip(range(_SHOWN), file, strict=False)]
    return "; ".join(f"row {reject['row']}: {reject['reason']}" for reject in rejects)
