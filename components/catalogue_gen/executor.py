"""Runs ingestion and judges its counts: too many rejects, or nothing to train or test on, stops with one line."""

import hashlib
import json
import sys
from collections.abc import Sequence
from typing import Any

from apache_beam.io.filesystems import FileSystems
from tfx.dsl.components.base import base_beam_executor
from tfx.types import artifact_utils

from components.catalogue_gen.chunks import is_finished
from components.catalogue_gen.ingest import NearPolicy, Photos, ingest
from components.catalogue_gen.readers.reader import reader_of
from components.catalogue_gen.readers.spans import ranges
from components.catalogue_gen.rows import REJECTED, SPLITS
from components.catalogue_gen.shards import Folders
from components.catalogue_gen.span_counts import read_spans
from components.errors import InputError
from models.taxonomy import FILE_NAME, Taxonomy

_SHOWN = 3  # rejects quoted in a message


class Executor(base_beam_executor.BaseBeamExecutor):
    """Executor of `CatalogueGen`."""

    def Do(self, input_dict: dict[str, Any], output_dict: dict[str, Any], exec_properties: dict[str, Any]) -> None:
        """Keys: `CatalogueGenSpec`. Raises: InputError for what the user can mend."""
        catalogue, labels_only = exec_properties["catalogue"], bool(exec_properties["labels_only"])
        columns = reader_of(exec_properties["format"], catalogue).columns(catalogue)
        given = _given(exec_properties["taxonomy"], columns)
        examples, labels = (_split(output_dict[key]) for key in ("examples", "labels"))
        photos = Photos(exec_properties["long_side"], labels_only, exec_properties["version"])
        folders = Folders(examples, labels, staging(examples, catalogue), exec_properties["shards"])
        near = NearPolicy(exec_properties["near_duplicates"], exec_properties["near_duplicate_bits"])
        with self._make_beam_pipeline() as pipeline:
            found = ingest(pipeline, catalogue, folders, given, exec_properties["format"], photos, near)
            if before := sum(map(is_finished, found.chunks)):
                print(f"  {before} of {len(found.chunks)} chunks were finished by a run that was stopped", file=sys.stderr)
        FileSystems.delete([folders.staging])  # before the judge: a server that was down must not be remembered
        _note(output_dict["examples"][0], exec_properties, {one.span for one in read_spans(labels)})
        _say(examples)
        _judge(catalogue, examples, exec_properties["max_reject_share"], () if labels_only else ("train", "test"))
        if left_out := [name for name in columns if name not in _read_taxonomy(f"{examples}/{FILE_NAME}").names]:
            why = "the given taxonomy does not name them" if given else "no photo has a label there"
            print(f"  columns left out, {why}: {', '.join(left_out)}", file=sys.stderr)


def _split(artifacts: list[Any]) -> str:
    """The folder of an output, which is told of its splits."""
    artifact = artifact_utils.get_single_instance(artifacts)
    artifact.split_names = artifact_utils.encode_split_names(list(SPLITS))
    return str(artifact.uri)


def _note(artifact: Any, exec_properties: dict[str, Any], spans: set[int]) -> None:
    """What these Examples were made of, told along with them: a release says it where no ML Metadata is at hand."""
    for name, key in (("catalogue", "catalogue"), ("format", "format"), ("fingerprint", "version")):
        artifact.set_string_custom_property(name, exec_properties[key])
    if spans:
        artifact.set_string_custom_property("span", ranges(sorted(spans)))


def staging(examples: str, catalogue: str) -> str:
    """The folder in which chunks wait: where `examples` is <component>/examples/<execution>, <component>/staging/<key>.

    TFX gives every execution a new output folder, so what a killed one left there would never be found. One folder a
    catalogue: what was stored of an earlier state of it has other names, and goes with the rest when a run succeeds.
    """
    key = hashlib.blake2b(catalogue.encode(), digest_size=12).hexdigest()
    return f"{examples.rstrip('/').rsplit('/', 2)[0]}/staging/{key}"


def _say(examples: str) -> None:
    """The balance: what went in is what came out. And near-duplicates, if there are any."""
    with FileSystems.open(f"{examples}/counts.json") as file:
        counts: dict[str, int] = json.loads(file.read())
    kinds = " + ".join(f"{counts.get(kind, 0):,} {kind}" for kind in (*SPLITS, REJECTED))
    print(f"  {sum(counts.values()):,} rows = {kinds}", file=sys.stderr)
    pairs = straddling = 0
    where = f"{examples}/near_duplicates/pairs.jsonl"
    if not FileSystems.exists(where):
        return
    with FileSystems.open(where) as file:
        for line in file:
            pairs, straddling = pairs + 1, straddling + (len({*json.loads(line)["splits"]} - {REJECTED}) > 1)
    if pairs:
        print(f"  near-duplicates: {pairs:,} pairs, {straddling:,} of them across splits; listed in {where}", file=sys.stderr)


def _given(path: str, columns: list[str]) -> Taxonomy | None:
    if not path:
        return None
    try:
        taxonomy = _read_taxonomy(path)
    except (OSError, ValueError) as error:
        raise InputError(f"data.taxonomy: {path} cannot be read: {error}") from None
    if missing := [name for name in taxonomy.names if name not in columns]:
        raise InputError(f'data.taxonomy: the catalogue has no column "{missing[0]}"; it has: {", ".join(columns)}')
    return taxonomy


def _read_taxonomy(path: str) -> Taxonomy:
    with FileSystems.open(path) as file:
        return Taxonomy.from_json(file.read().decode())


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
