"""The drawn sample as its readers meet it: files, columns, splits, groups, labels."""

import csv
import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path

import pytest
from PIL import Image

from pipeline.sample.catalogue import draw_sample
from pipeline.sample.classes import CLASSES

SINGLE = [attribute for attribute in CLASSES if attribute != "details"]
Rows = list[dict[str, str]]


def read(path: Path) -> Rows:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_sample(tmp_path_factory.mktemp("sample")).parent


@pytest.fixture(scope="module")
def rows(sample: Path) -> Rows:
    return read(sample / "catalogue.csv")


@pytest.fixture(scope="module")
def regions(sample: Path) -> Rows:
    return read(sample / "regions.csv")


def test_columns_and_images(sample: Path, rows: Rows) -> None:
    header = "image,split,role,group,neckline,sleeve_length,colour,pattern,length,details"
    assert (sample / "catalogue.csv").read_text(encoding="utf-8").splitlines()[0] == header
    assert [row["image"] for row in rows] == [f"images/{index:05d}.jpg" for index in range(600)]
    assert len(list((sample / "images").iterdir())) == 600


def test_photos_are_jpegs_in_portrait_of_varied_size(sample: Path, rows: Rows) -> None:
    sizes = set()
    for row in rows[:50]:
        with Image.open(sample / row["image"]) as image:
            assert (image.format, image.mode) == ("JPEG", "RGB")
            sizes.add(image.size)
    assert len(sizes) > 20
    assert all(158 <= width < height <= 264 for width, height in sizes)


def test_splits_and_roles(rows: Rows) -> None:
    # 600 photos: 65, 10 and 25 %; in valid and test one query to four candidates.
    assert Counter((row["split"], row["role"]) for row in rows) == {
        ("train", ""): 390,
        ("valid", "query"): 12,
        ("valid", "candidate"): 48,
        ("test", "query"): 30,
        ("test", "candidate"): 120,
    }


def test_every_class_occurs_in_train(rows: Rows) -> None:
    for attribute, classes in CLASSES.items():
        cells = [row[attribute].split("|") for row in rows if row["split"] == "train" and row[attribute]]
        assert {name for cell in cells for name in cell} == set(classes)


@pytest.mark.parametrize("split", ["valid", "test"])
@pytest.mark.parametrize("attribute", CLASSES)
def test_every_query_has_a_relevant_candidate(rows: Rows, split: str, attribute: str) -> None:
    found: dict[str, list[set[str]]] = defaultdict(list)
    for row in rows:
        if row["split"] == split and row[attribute]:
            found[row["role"]].append(set(row[attribute].split("|")))
    assert len(found["query"]) >= 8
    assert all(any(query & candidate for candidate in found["candidate"]) for query in found["query"])


def test_a_garment_drawn_twice_stays_in_one_split_with_its_labels(rows: Rows, sample: Path) -> None:
    groups = defaultdict(list)
    for row in rows:
        if row["group"]:
            groups[row["group"]].append(row)
    assert len(groups) == 30
    assert {members[0]["split"] for members in groups.values()} == {"train", "valid", "test"}
    for first, second in groups.values():
        assert first["split"] == second["split"]
        assert all(first[name] == second[name] for name in CLASSES if first[name] and second[name])
        assert (sample / first["image"]).read_bytes() != (sample / second["image"]).read_bytes()


@pytest.mark.parametrize("attribute", CLASSES)
def test_a_tenth_of_the_cells_is_unlabelled(rows: Rows, attribute: str) -> None:
    share = sum(not row[attribute] for row in rows) / len(rows)
    assert 0.06 < share < 0.14  # 0.1, and three standard deviations of 600 draws


def test_details_are_multi_label_and_none_stands_alone(rows: Rows) -> None:
    cells = [row["details"].split("|") for row in rows if row["details"]]
    assert {len(cell) for cell in cells} == {1, 2}
    assert all(cell == ["none"] or "none" not in cell for cell in cells)
    assert all(len(set(cell) & {"bow", "buttons", "zip"}) <= 1 for cell in cells)
    assert all("|" not in row[attribute] for row in rows for attribute in SINGLE)


def test_regions_name_what_is_shown_also_where_the_label_is_missing(rows: Rows, regions: Rows) -> None:
    shown = defaultdict(list)
    for region in regions:
        shown[region["image"], region["attribute"]].append(region["class"])
    assert set(shown) == {(row["image"], attribute) for row in rows for attribute in CLASSES}
    for row in rows:
        for attribute in CLASSES:
            names = shown[row["image"], attribute]
            assert len(names) == (2 if attribute == "sleeve_length" else len(set(names)))
            assert row[attribute] in ("", "|".join(sorted(set(names))))


def test_regions_lie_inside_their_image(sample: Path, regions: Rows) -> None:
    sizes = {}
    for region in regions:
        if region["image"] not in sizes:
            with Image.open(sample / region["image"]) as image:
                sizes[region["image"]] = image.size
        width, height = sizes[region["image"]]
        left, top, right, bottom = (int(region[side]) for side in ("left", "top", "right", "bottom"))
        assert 0 <= left <= right - 4 < right <= width, region
        assert 0 <= top <= bottom - 4 < bottom <= height, region


def test_same_seed_same_bytes_and_a_longer_sample_begins_with_the_shorter(sample: Path, tmp_path: Path) -> None:
    again = files(draw_sample(tmp_path, photos=24).parent)
    whole = files(sample)
    assert all(again[name] == whole[name] for name in again if name.startswith("images/"))
    assert whole["catalogue.csv"].startswith(again["catalogue.csv"])
    assert whole["regions.csv"].startswith(again["regions.csv"])


def test_another_seed_draws_other_photos_and_another_split(tmp_path: Path) -> None:
    first, second = (files(draw_sample(tmp_path / str(seed), photos=20, seed=seed).parent) for seed in (0, 1))
    assert not {first[name] for name in first if name.startswith("images/")} & set(second.values())
    splits = [[row["split"] for row in read(tmp_path / str(seed) / "catalogue.csv")] for seed in (0, 1)]
    assert splits[0] != splits[1]


def test_an_earlier_sample_is_replaced_whole(tmp_path: Path) -> None:
    draw_sample(tmp_path, photos=22)
    (tmp_path / "notes.txt").write_text("mine", encoding="utf-8")
    draw_sample(tmp_path, photos=20, seed=3)
    assert len(list((tmp_path / "images").iterdir())) == len(read(tmp_path / "catalogue.csv")) == 20
    assert (tmp_path / "notes.txt").read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize("name", ["holiday.jpg", "catalogue.csv", "sample.json"])
def test_a_folder_with_other_files_is_refused_untouched(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("{}", encoding="utf-8")
    with pytest.raises(FileExistsError, match="holds no drawn sample; name a new folder"):
        draw_sample(tmp_path, photos=20)
    assert files(tmp_path) == {name: b"{}"}


def test_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "sample").write_text("", encoding="utf-8")
    with pytest.raises(NotADirectoryError, match="is a file"):
        draw_sample(tmp_path / "sample", photos=20)


def test_cut_short_there_is_no_catalogue_and_the_next_run_takes_over(tmp_path: Path) -> None:
    draw_sample(tmp_path, photos=20)

    def stop(done: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        draw_sample(tmp_path, photos=20, seed=1, progress=stop)
    assert not (tmp_path / "catalogue.csv").exists()
    assert not (tmp_path / "regions.csv").exists()
    done: list[int] = []
    assert len(read(draw_sample(tmp_path, photos=20, progress=done.append))) == 20
    assert done == list(range(1, 21))


@pytest.mark.parametrize(("photos", "seed", "message"), [(19, 0, "got 19"), (100_001, 0, "got 100001"), (20, -1, "got -1")])
def test_numbers_out_of_range_are_refused_before_anything_is_written(
    tmp_path: Path, photos: int, seed: int, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        draw_sample(tmp_path / "new", photos, seed)
    assert not (tmp_path / "new").exists()


def test_import_needs_no_framework() -> None:
    heavy = "{'tensorflow', 'keras', 'jax', 'tfx', 'apache_beam'}"
    code = f"import sys, pipeline.sample.catalogue; sys.exit(bool({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
