"""The plan: hours that one can redo by hand."""

from pathlib import Path

import pytest

from pipeline import plan
from pipeline.plan import SIZES, Rates, Size, assumptions, drawn, hours

RATES = Rates(ingest=10, train=5, embed=20, index=100, pairs=1000, fixed=36, epochs=3, attributes=2, run="runs/x")


def test_every_step_by_its_rate() -> None:
    found = hours(Size("a", photos=3600, train=1800, pairs=7200), RATES, epochs=3)
    # 3600 photos: 360 s, 180 s and 36 s; 1800 x 3 / 5 = 1080 s; 7200 pairs in 7.2 s; 36 s whatever the size
    assert {k: round(3600 * v, 6) for k, v in found.items()} == {
        "ingest": 360, "train": 1080, "embed": 180, "evaluate": 7.2, "index": 36, "fixed": 36, "all": 1699.2}  # fmt: skip


def test_an_assumed_device_trains_and_embeds_and_is_called_an_assumption() -> None:
    found = hours(Size("a", 3600, 1800, 0), RATES, epochs=1, images_per_second=100)
    assert 3600 * found["train"] == pytest.approx(18)
    assert 3600 * found["embed"] == pytest.approx(12)  # three times as fast
    assert any("your assumption" in line for line in assumptions(RATES, 1, 100, 0))
    assert not any("your assumption" in line for line in assumptions(RATES, 1, 0, 0))


def test_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "rates_of", lambda _: RATES)
    said = plan.text(Path("runs/x"), photos=1_000_000, epochs=0, images_per_second=0, price=2).splitlines()
    assert said[0].split() == ["hours", "photos", "ingest", "train", "embed", "evaluate", "index", "fixed", "all", "cost"]
    # 100,000 s, 650,000 x 3 / 5 s, 50,000 s, 2 x 50,000 x 200,000 pairs in 20,000,000 s, 10,000 s, 36 s: 20,550,036 s at 2 an hour
    row = ["1,000,000", "photos", "1,000,000", "27.78", "108.33", "13.89", "5,555.56", "2.78", "0.01", "5,708.34", "11,416.69"]
    assert said[5].split() == row
    assert [line.split()[0] for line in said[2:5]] == ["FashionAI", "DARN", "DeepFashion"]
    assert "* 3 epochs of the split train" in "\n".join(said)


def test_sizes() -> None:
    assert drawn(1000, 2) == Size("1,000 photos", 1000, 650, 2 * 50 * 200)
    assert [size.photos for size in SIZES] == [180_335, 214_600, 276_250]
