"""The Beam half of ingestion: catalogue.csv to Examples, items and rejects. Counts in = counts out + rejects.

The photos are read once. Only text is grouped (by id, by group) and gathered (the set of classes), so memory stays flat.
"""

import json
from collections.abc import Iterable, Iterator
from typing import Any

import apache_beam as beam
import pyarrow as pa
import tensorflow as tf
from apache_beam.io.filesystems import FileSystems

from components.catalogue_gen.labels import LabelError, classes_shown, encode, infer
from components.catalogue_gen.photo import PhotoError, normalise
from components.catalogue_gen.readers.reader import reader_of
from components.catalogue_gen.rows import SPLITS, Record, Reject
from components.catalogue_gen.splits import assign
from models.taxonomy import FILE_NAME, Taxonomy

REJECTED = "rejected"
ITEM_COLUMNS = pa.schema([(name, pa.string()) for name in ("id", "image", "split", "role")])


class FirstOfId(beam.DoFn):
    """Of the rows that share an id, the first stays and each other one is rejected."""

    def process(self, keyed: tuple[str, Iterable[Record]]) -> Iterator[Any]:
        """Yields the first record; the others go to the tagged output `rejected`."""
        first, *others = sorted(keyed[1], key=_place)
        yield first
        for record in others:
            reason = f'id "{keyed[0]}" stands in row {first.row} already; give every photo an id of its own'
            yield beam.pvalue.TaggedOutput(REJECTED, Reject(record.file, record.row, reason))


class OneSplitAGroup(beam.DoFn):
    """Rows of a group that lie in another split than its first row are rejected: near-duplicates would leak."""

    def process(self, keyed: tuple[str, Iterable[Record]]) -> Iterator[Any]:
        """Yields the records in the first one's split; the others go to the tagged output `rejected`."""
        records = sorted(keyed[1], key=_place)
        for record in records:
            if record.split == records[0].split:
                yield record
            else:
                reason = f'group "{record.group}" is in {records[0].split} by row {records[0].row}, here in {record.split}'
                yield beam.pvalue.TaggedOutput(REJECTED, Reject(record.file, record.row, reason))


class ToExample(beam.DoFn):
    """Opens the photo of a record, unless labels are all that is asked for; makes its Example, its labels, and its item."""

    def process(self, record: Record, taxonomy: Taxonomy | None, long_side: int, labels_only: bool) -> Iterator[Any]:
        """Yields (split, count) and tagged outputs: the split, `labels-` and the split, `items`, or `rejected`."""
        try:
            labels = encode(record, taxonomy)
            photos = [] if labels_only else [normalise(_read(record.location), long_side)]
        except (LabelError, PhotoError) as error:
            place = "" if isinstance(error, LabelError) else f'image "{record.location}": '
            yield beam.pvalue.TaggedOutput(REJECTED, Reject(record.file, record.row, f"{place}{error}"))
            return
        # By name, so that statistics are those of categories and an anomaly reads as the catalogue does. Unlabelled =
        # absent: TFDV counts an empty list as a value.
        names = {name: _bytes([one.encode() for one in record.labels[name]]) for name in labels if record.labels.get(name)}
        yield beam.pvalue.TaggedOutput(f"labels-{record.split}", _serialise(names))
        features = {f"label/{name}": _ints(classes) for name, classes in labels.items()}
        features |= {"image/encoded": _bytes(photos), "image/id": _bytes([record.id.encode()])}
        features |= {"image/group": _bytes([(record.group or record.id).encode()]), "role": _bytes([record.role.encode()])}
        yield beam.pvalue.TaggedOutput(record.split, _serialise(features))
        yield beam.pvalue.TaggedOutput(
            "items", {"id": record.id, "image": record.location, "split": record.split, "role": record.role}
        )
        yield record.split


def ingest(
    pipeline: beam.Pipeline,
    catalogue: str,
    examples: str,
    labels: str,
    given: Taxonomy | None,
    long_side: int,
    shards: int,
    data_format: str = "catalogue",
    labels_only: bool = False,
) -> None:
    """Adds the whole of ingestion to `pipeline`.

    Args:
        catalogue: path of catalogue.csv, or of what `data_format` reads.
        examples: folder that gets Split-*/, taxonomy.json, items/, rejects/ and counts.json.
        labels: folder that gets Split-*/ with the labels alone, for statistics.
        given: the taxonomy to keep to; None infers it.
        long_side: pixels, of the stored photos.
        shards: files a split.
        data_format: one of `readers.reader.FORMATS`.
        labels_only: opens no photo; `image/encoded` is empty.
    """
    reader = reader_of(data_format)
    rows = pipeline | beam.Create([catalogue]) | "Read" >> beam.FlatMap(reader.rows)
    malformed = rows | "Malformed" >> beam.Filter(lambda row: isinstance(row, Reject)).with_output_types(Reject)
    records = (
        rows
        | "WellFormed" >> beam.Filter(lambda row: isinstance(row, Record)).with_output_types(Record)
        | "Assign" >> beam.Map(assign)
    )
    given = given or reader.taxonomy(catalogue)
    columns = reader.columns(catalogue)
    taxonomy = pipeline | "Given" >> beam.Create([given]) if given else records | "Infer" >> InferTaxonomy(columns)
    _ = taxonomy | "WriteTaxonomy" >> beam.Map(lambda t: _write(f"{examples}/{FILE_NAME}", t.to_json()))
    unique = _grouped(records, "Id", lambda record: record.id, FirstOfId())
    kept = _grouped(unique[None], "Group", lambda record: record.group or record.id, OneSplitAGroup())
    tags = [REJECTED, "items", *SPLITS, *(f"labels-{split}" for split in SPLITS)]
    made = (
        kept[None]
        | "Spread" >> beam.Reshuffle()
        | "ToExample"
        >> beam.ParDo(ToExample(), beam.pvalue.AsSingleton(taxonomy, None), long_side, labels_only).with_outputs(
            *tags, main="counted"
        )
    )
    rejects = (malformed, unique[REJECTED], kept[REJECTED], made[REJECTED]) | "Rejects" >> beam.Flatten()
    for split in SPLITS:
        for folder, tag in ((examples, split), (labels, f"labels-{split}")):
            prefix = f"{folder}/Split-{split}/data_tfrecord"
            _ = made[tag] | f"Write-{tag}" >> beam.io.WriteToTFRecord(prefix, num_shards=shards)
    _ = made["items"] | beam.io.WriteToParquet(f"{examples}/items/items", ITEM_COLUMNS, file_name_suffix=".parquet")
    lines = rejects | "ToJson" >> beam.Map(lambda reject: json.dumps(reject._asdict(), ensure_ascii=False))
    _ = lines | beam.io.WriteToText(f"{examples}/rejects/rejects", file_name_suffix=".jsonl", num_shards=1)
    counted = (made["counted"], rejects | "AsRejected" >> beam.Map(lambda _: REJECTED)) | "Counted" >> beam.Flatten()
    _ = (
        counted
        | beam.combiners.Count.PerElement()
        | beam.combiners.ToDict()
        | "WriteCounts" >> beam.Map(lambda counts: _write(f"{examples}/counts.json", json.dumps(counts)))
    )


class InferTaxonomy(beam.PTransform):
    """Records to one Taxonomy, or to nothing where no cell is labelled."""

    def __init__(self, columns: list[str]) -> None:
        super().__init__()
        self.columns = columns

    def expand(self, records: beam.PCollection) -> beam.PCollection:
        """A PCollection of one Taxonomy."""
        columns = self.columns
        shown = records | beam.FlatMap(classes_shown) | beam.Distinct() | beam.combiners.ToList()
        return shown | "ByColumn" >> beam.Map(lambda found: infer(found, columns)) | beam.Filter(bool)


def _grouped(records: beam.PCollection, name: str, key: Any, do: beam.DoFn) -> beam.pvalue.DoOutputsTuple:
    keyed = records | f"By{name}" >> beam.Map(lambda record: (key(record), record)) | f"Group{name}" >> beam.GroupByKey()
    return keyed | f"Check{name}" >> beam.ParDo(do).with_outputs(REJECTED)


def _place(record: Record) -> tuple[str, int]:
    return record.file, record.row


def _read(location: str) -> bytes:
    try:
        with FileSystems.open(location) as file:
            return file.read()
    except (OSError, ValueError):
        raise PhotoError("the file is not there or cannot be read") from None


def _write(path: str, text: str) -> None:
    with FileSystems.create(path) as file:
        file.write(text.encode())


def _bytes(values: list[bytes]) -> tf.train.Feature:
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))


def _ints(values: list[int]) -> tf.train.Feature:
    return tf.train.Feature(int64_list=tf.train.Int64List(value=values))


def _serialise(features: dict[str, tf.train.Feature]) -> bytes:
    """Deterministic bytes: a map's order differs between worker processes otherwise."""
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString(deterministic=True)
