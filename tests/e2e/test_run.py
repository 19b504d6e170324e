"""From photos to a served answer: what a run leaves, that a second one is all cache, and that the server agrees with it."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from components.catalogue_gen.photo import normalise
from components.release_validator.check import MismatchError, check, running
from serving.client import Client, ClientError
from serving.release import verify, versions
from tests.e2e.conftest import QUICK, m3net
from tests.slow_metrics import rows_of, slow_map

pytestmark = pytest.mark.slow


def embeddings(output: Path) -> list[Path]:
    return sorted((output / "tfx" / "artifacts" / "Embedder" / "embeddings").glob("*/*.parquet"))


def test_results_equal_an_independent_recomputation_from_the_parquet(output: Path) -> None:
    results = json.loads((output / "results.json").read_text())
    slow = slow_map(rows_of(embeddings(output)))
    assert results["overall"]["map"] == pytest.approx(slow.pop("overall"), abs=1e-6)
    assert {name: values["map"] for name, values in results["attributes"].items()} == pytest.approx(slow, abs=1e-6)


def test_the_release_is_whole(output: Path) -> None:
    assert versions(output / "releases") == [1]
    manifest = verify(output / "releases" / "1")
    assert manifest.system == "m3net+"
    assert manifest.counts == {"items": 80}


def test_a_demo_of_what_was_run_is_all_cache_and_one_answer(output: Path, catalogue: Path) -> None:
    done = m3net("demo", "--catalogue", str(catalogue), "--output", str(output), *QUICK)
    lines = [line for line in done.stderr.splitlines() if line.endswith((" s", "from cache"))]
    steps = [line.split(":")[0] for line in lines if line.endswith("from cache")]
    assert set(steps) == {
        "CatalogueGen", "StatisticsGen", "SchemaGen", "ExampleValidator", "LabelValidator", "Trainer", "Embedder", "RetrievalEvaluator",
        "IndexBuilder", "ReleaseValidator", "Releaser",
    }  # fmt: skip
    assert versions(output / "releases") == [1]
    answer = done.stdout.partition(" answers:\n\n")[2].splitlines()
    assert answer[0].split() == ["id", "class", "score"]
    assert len(answer) == 13  # ten neighbours, an empty line, and where the page is
    assert (output / "neighbours.html").exists()


def ran(said: str) -> tuple[set[str], set[str]]:
    """The steps that a run worked on, and those that it answered from cache; resolvers, which only look up, are neither."""
    worked = set(re.findall(r"^(\w+): (?!from)", said, re.MULTILINE)) - {"last_statistics", "last_blessed_model"}
    return worked, set(re.findall(r"^(\w+): from cache$", said, re.MULTILINE))


def test_neighbours_over_grpc_equal_those_of_the_parquet(output: Path, catalogue: Path) -> None:
    rows = [row for row in rows_of(embeddings(output)) if row["attribute"] == "colour"]
    gallery = np.array([row["vector"] for row in rows])
    photos = sorted((catalogue.parent / "images").iterdir())[:5]
    with running(output / "releases") as address, Client(address) as client:
        assert client.ready()
        for photo in photos:
            image = normalise(photo.read_bytes())
            found = client.search(image, "colour", 7)
            own = next(row for row in rows if row["id"] == f"images/{photo.name}")["vector"]
            scores = gallery @ np.array(own)
            assert [n.score for n in found] == pytest.approx(np.sort(scores)[::-1][:7], abs=1e-4)
            ranked = {rows[i]["id"] for i in np.flatnonzero(scores >= np.sort(scores)[-7] - 1e-4)}
            assert {n.id for n in found} <= ranked
        with pytest.raises(ClientError, match="colour"):
            client.search(image, "no such attribute", 3)


def test_query_prints_id_class_and_score_and_writes_a_page(output: Path, catalogue: Path, tmp_path: Path) -> None:
    photo = catalogue.parent / "images" / "00003.jpg"
    page = tmp_path / "page.html"
    release = str(output / "releases")
    done = m3net("query", str(photo), "--attribute", "colour", "-k", "3", "--release", release, "--html", str(page))
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["id", "class", "score"]
    assert all(line.startswith("images/") and len(line.split()) == 3 for line in lines[1:4])
    assert page.read_text().count('src="data:image/jpeg;base64,') == 4


def test_the_validator_refuses_a_release_that_disagrees(output: Path, tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    examples = next((output / "tfx" / "artifacts" / "CatalogueGen" / "examples").iterdir())
    table = pq.read_table(embeddings(output)[0])
    vectors = table["vector"].combine_chunks()
    other = type(vectors).from_arrays(vectors.flatten().to_numpy()[::-1].copy(), vectors.type.list_size)
    pq.write_table(table.set_column(5, "vector", other), tmp_path / "e.parquet")
    with running(output / "releases") as address:
        check(address, examples, embeddings(output)[0].parent, ["train", "valid", "test"])
        with pytest.raises(MismatchError, match="differs from the Embeddings"):
            check(address, examples, tmp_path, ["train", "valid", "test"])


def test_with_another_threshold_only_the_evaluation_and_what_follows_run_and_what_is_below_it_is_held_back(
    output: Path, catalogue: Path
) -> None:
    command = ["run", "--catalogue", str(catalogue), "--output", str(output), *QUICK, "--set", "evaluation.min_map=0.999"]
    done = subprocess.run([sys.executable, "-m", "pipeline.cli", *command], capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert "below evaluation.min_map" in done.stdout
    assert "version 1 stays the newest" in done.stdout
    worked, cached = ran(done.stderr)
    assert worked == {"RetrievalEvaluator", "ReleaseValidator", "Releaser"}
    assert cached == {
        "CatalogueGen", "StatisticsGen", "SchemaGen", "ExampleValidator", "LabelValidator", "Trainer", "Embedder", "IndexBuilder",
    }  # fmt: skip
    assert versions(output / "releases") == [1]


def test_too_many_corrupt_photos_stop_the_run_with_one_line(tmp_path: Path) -> None:
    Image.new("RGB", (40, 40)).save(tmp_path / "a.jpg")
    (tmp_path / "catalogue.csv").write_text("image,split,neckline\na.jpg,train,v\nb.jpg,train,v\nc.jpg,test,v\n")
    command = ["run", "--catalogue", str(tmp_path / "catalogue.csv"), "--output", str(tmp_path / "out")]
    done = subprocess.run([sys.executable, "-m", "pipeline.cli", *command], capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert "2 of 3 rows rejected" in done.stderr
    assert "Traceback" not in done.stderr
