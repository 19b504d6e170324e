"""Every format through the real ingestion: photos drawn on the spot, and the public lists without any."""

import json
from collections import Counter
from pathlib import Path

import pytest
import tensorflow as tf
from pyarrow import dataset

from components.catalogue_gen.ingest import Photos, ingest
from components.catalogue_gen.readers.reader import FORMATS, reader_of
from components.catalogue_gen.rows import Record
from components.catalogue_gen.shards import Folders
from models.taxonomy import Taxonomy
from pipeline.fingerprint import fingerprint
from tests.components.direct import direct_pipeline
from tests.components.layouts import LAYOUTS, draw, path_of, write
from tests.components.test_readers import LISTS, PUBLISHED, public


def ingested(path: str, output: Path, data_format: str, labels_only: bool = False) -> Path:
    with direct_pipeline() as pipeline:
        folders = Folders(f"{output}/examples", f"{output}/labels", f"{output}/staging", 1)
        ingest(pipeline, path, folders, None, data_format, Photos(labels_only=labels_only))
    return output / "examples"


def examples(folder: Path, split: str) -> list[tf.train.Example]:
    files = [str(file) for file in (folder / f"Split-{split}").iterdir()]
    return [tf.train.Example.FromString(record.numpy()) for record in tf.data.TFRecordDataset(files)]


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_a_miniature_with_photos_comes_out_whole(name: str, tmp_path: Path) -> None:
    path = path_of(name, write(tmp_path / "mini", LAYOUTS[name]))
    rows = [row for row in reader_of(name).rows(path) if isinstance(row, Record)]
    draw(row.location for row in rows[1:])  # the first photo is missing
    folder = ingested(path, tmp_path, name)
    counts = json.loads((folder / "counts.json").read_text())
    assert counts.pop("rejected") == 1
    assert sum(counts.values()) == len(rows) - 1
    taxonomy = Taxonomy.load(folder)
    found = {
        e.features.feature["image/id"].bytes_list.value[0].decode(): e for split in counts for e in examples(folder, split)
    }
    assert set(found) == {row.id for row in rows[1:]}
    for row in rows[1:]:
        features = found[row.id].features.feature
        assert features["image/encoded"].bytes_list.value[0][:2] == b"\xff\xd8"
        for attribute in taxonomy.attributes:
            shown = [attribute.classes[i] for i in features[f"label/{attribute.name}"].int64_list.value]
            assert sorted(shown) == sorted(row.labels.get(attribute.name, []))


@public
@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_the_public_lists_are_ingested_without_a_photo(name: str, tmp_path: Path) -> None:
    queries, candidates, attributes = PUBLISHED[name]
    folder = ingested(str(LISTS / name), tmp_path, "asen", labels_only=True)
    counts = json.loads((folder / "counts.json").read_text())
    assert counts == {"valid": queries + candidates, "test": queries + candidates} | (
        {"rejected": 1} if name == "FashionAI" else {}
    )
    items = dataset.dataset(folder / "items").to_table(["split", "role"]).to_pylist()
    assert Counter((one["split"], one["role"]) for one in items) == {
        (split, role): n for split in ("valid", "test") for role, n in (("query", queries), ("candidate", candidates))
    }
    names = Taxonomy.load(folder).names
    asked: Counter[int] = Counter()
    for example in examples(folder, "test"):
        features = example.features.feature
        assert not features["image/encoded"].bytes_list.value
        if features["role"].bytes_list.value[0] == b"query":
            asked.update(i for i, one in enumerate(names) if features[f"label/{one}"].int64_list.value)
    # Straight from the list: the second of three numbers is the attribute.
    lines = (LISTS / name / "query_test.txt").read_text().split("\n")
    assert asked == Counter(int(line.split()[1]) for line in lines if line.strip())
    assert len(names) == attributes


def test_the_fingerprint_sees_lists_classes_and_photos(tmp_path: Path) -> None:
    folder = write(tmp_path / "mini", LAYOUTS["asen"])
    seen = [fingerprint(str(folder), "asen")]
    for file, old, new in (("query_test.txt", "0 0 1", "0 0 0"), ("meta.json", '"sleeve": 3', '"sleeve": 4')):
        (folder / file).write_text((folder / file).read_text().replace(old, new))
        seen.append(fingerprint(str(folder), "asen"))
    draw([f"{folder}/img/a.jpg"])
    seen += [fingerprint(str(folder), "asen")] * 2
    assert len(set(seen)) == 4
    assert fingerprint(str(folder), "asen") == seen[-1]
