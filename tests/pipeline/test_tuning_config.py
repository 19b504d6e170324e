"""Ranges of the search: read as numbers, and refused in one line where they are none."""

from pathlib import Path

import pytest

from pipeline.config import ConfigError, load


def test_ranges_are_numbers_and_sizes_whole(tmp_path: Path) -> None:
    (file := tmp_path / "c.yaml").write_text("tuning: {trials: 3, learning_rate: [1e-4, 1], class_dim: [8, 16]}")
    tuning = load(file).tuning
    assert (tuning.learning_rate, tuning.class_dim, tuning.trials) == ((1e-4, 1.0), (8, 16), 3)


@pytest.mark.parametrize(("text", "words"), [
    ("tuning: {margin: [0.5, 0.1]}", "tuning.margin: [lowest, highest]"),
    ("tuning: {margin: [0.5]}", "tuning.margin: [lowest, highest]"),
    ("tuning: {learning_rate: [0, 1]}", "tuning.learning_rate: above 0"),
    ("tuning: {class_dim: []}", "tuning.class_dim: sizes to choose from"),
    ("tuning: {class_dim: [eight]}", "tuning.class_dim is a int"),
    ("{tuning: {trials: 2, class_dim: [8, 16]}, training: {warm_start: last}}", "tuning.class_dim: one size alone"),
    ("metadata: {kind: oracle}", "no kind \"oracle\"; there are: sqlite, postgresql, mysql"),
    ("metadata: {password: x}", 'unknown key "metadata.password"'),
])  # fmt: skip
def test_a_mistake_is_one_line(tmp_path: Path, text: str, words: str) -> None:
    (file := tmp_path / "c.yaml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        load(file)
    assert words in str(caught.value)


def test_a_search_may_begin_warm_where_it_keeps_the_width(tmp_path: Path) -> None:
    (file := tmp_path / "c.yaml").write_text("{tuning: {trials: 2, class_dim: [32]}, training: {warm_start: last}}")
    assert load(file).tuning.trials == 2
    file.write_text("training: {warm_start: last}")  # no search, and the sizes to choose from as they are
    assert load(file).tuning.trials == 0
