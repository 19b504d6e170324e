"""Draws by attribute and class: their exact probabilities, that nobody starves, and that any batch can be made again."""

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest

from models.class_sampling import Balanced, Triplets, batches
from models.recipe import TrainingConfig
from models.sampling import Batches, Photos
from models.taxonomy import Attribute, Taxonomy

TAXONOMY = Taxonomy((Attribute("neck", ("v", "crew", "boat")), Attribute("sleeve", ("none", "long"), multi_label=True)))
# neck: v 0 1 2, crew 3 4, boat 5; sleeve: none 0 1, long 1 2; 6 and 7 have no label at all.
LABELS = np.zeros((8, 5), np.uint8)
for photo, column in [(0, 0), (1, 0), (2, 0), (3, 1), (4, 1), (5, 2), (0, 3), (1, 3), (1, 4), (2, 4)]:
    LABELS[photo, column] = 1


def photos(labels: np.ndarray) -> Photos:
    text = [str(i) for i in range(len(labels))]
    return Photos(np.zeros((len(labels), 2, 2, 3), np.uint8), np.arange(len(labels)), labels, text, text)


def recipe(**changed: object) -> TrainingConfig:
    return TrainingConfig(**{"batch_size": 4000, "sampling": "documented", "shift": 0, "triplets": 1, **changed})  # type: ignore[arg-type]


def drawn(value_negatives: bool) -> list[tuple[int, tuple[int, int, int]]]:
    index, attribute = Triplets(photos(LABELS), TAXONOMY, recipe(), value_negatives).draw(0)
    assert attribute is not None
    assert (attribute.reshape(-1, 3) == attribute[::3, None]).all()
    return list(zip(attribute[::3].tolist(), map(tuple, index.reshape(-1, 3).tolist()), strict=True))


def shares(found: Counter[int]) -> dict[int, float]:
    return {key: count / found.total() for key, count in found.items()}


@pytest.mark.parametrize(
    ("value_negatives", "of_v"), [(False, {3: 1 / 3, 4: 1 / 3, 5: 1 / 3}), (True, {3: 1 / 4, 4: 1 / 4, 5: 1 / 2})]
)
def test_every_draw_has_its_documented_probability(value_negatives: bool, of_v: dict[int, float]) -> None:
    found = drawn(value_negatives)
    assert shares(Counter(a for a, _ in found)) == pytest.approx({0: 0.5, 1: 0.5}, abs=0.03)
    neck = [t for a, t in found if a == 0]
    # boat has one photo: never anchor nor positive, and so v and crew are drawn half the time each.
    assert shares(Counter(t[0] for t in neck)) == pytest.approx({0: 1 / 6, 1: 1 / 6, 2: 1 / 6, 3: 1 / 4, 4: 1 / 4}, abs=0.04)
    assert all(a != p and LABELS[a, :3].argmax() == LABELS[p, :3].argmax() for a, p, _ in neck)
    assert shares(Counter(n for a, _, n in neck if a < 3)) == pytest.approx(of_v, abs=0.04)


def test_a_negative_shares_no_class_where_that_can_be_had() -> None:
    for a, _, n in (t for attribute, t in drawn(False) if attribute == 1):
        # Photo 1 has both classes: as an anchor it has no negative that shares none, and takes one without the drawn class.
        assert a == 1 or not (LABELS[a, 3:] & LABELS[n, 3:]).any()
        assert n in {0, 2}


def test_the_labels_tell_the_attribute_alone() -> None:
    made, told = Triplets(photos(LABELS), TAXONOMY, recipe(batch_size=50), False)[0]
    neck = made["attribute"] == 0
    assert not told["labels"][neck, 3:].any()
    assert not told["labels"][~neck, :3].any()
    np.testing.assert_array_equal(told["labels"][neck, :3], LABELS[told["photo"][neck], :3])


def test_an_attribute_that_no_triplet_can_be_made_of_is_left_out() -> None:
    labels = LABELS.copy()
    labels[:, 3:] = 0
    labels[:2, 3] = 1  # all that are labelled have the one class
    assert {a for a, _ in zip(*Triplets(photos(labels), TAXONOMY, recipe(batch_size=99), False).draw(0), strict=True)} <= set(
        range(6)
    )
    assert set(Triplets(photos(labels), TAXONOMY, recipe(batch_size=99), False).draw(0)[1].tolist()) == {0}  # type: ignore[union-attr]
    with pytest.raises(ValueError, match="no attribute has two training photos of one class and one of another"):
        Triplets(photos(np.eye(5, dtype=np.uint8)), TAXONOMY, recipe(), True)


@pytest.mark.parametrize("sampling", ["documented", "balanced"])
def test_any_batch_can_be_made_again_and_no_two_are_alike(sampling: str) -> None:
    def made(seed: int) -> Batches:
        return batches(photos(LABELS), TAXONOMY, recipe(batch_size=8, triplets=32, sampling=sampling, seed=seed))

    one, two = made(1), made(1)
    two.on_epoch_end()
    one.on_epoch_end()
    _ = two.draw(1)
    np.testing.assert_array_equal(one.draw(0)[0], two.draw(0)[0])
    seen = [one.draw(0)[0].tolist(), one.draw(1)[0].tolist(), made(1).draw(0)[0].tolist(), made(2).draw(0)[0].tolist()]
    assert all(left != right for left, right in pairwise(seen))


def test_an_epoch_of_triplets_sees_as_many_photos_as_there_are_unless_told_otherwise() -> None:
    many = photos(np.repeat(LABELS, 9, axis=0))  # 72 photos
    assert len(Triplets(many, TAXONOMY, recipe(batch_size=4, triplets=0), False)) == 6
    assert len(Triplets(many, TAXONOMY, recipe(batch_size=4, triplets=100), False)) == 25
    assert len(Triplets(many, TAXONOMY, recipe(batch_size=64, triplets=0), False)) == 1


def test_balanced_pairs_show_a_class_with_one_photo_as_often_as_any() -> None:
    sampler = Balanced(photos(LABELS), TAXONOMY, recipe(batch_size=8, sampling="balanced"))
    pairs = np.concatenate([sampler.draw(i)[0] for i in range(1500)]).reshape(-1, 2)
    first = shares(Counter(pairs[:, 0].tolist()))
    # 1/2 neck: a third each of v, crew, boat; 1/2 sleeve: half each of none and long.
    assert first == pytest.approx({0: 13 / 72, 1: 22 / 72, 2: 13 / 72, 3: 1 / 12, 4: 1 / 12, 5: 1 / 6}, abs=0.02)
    assert sampler.draw(0)[1] is None
    with pytest.raises(ValueError, match="nothing to learn from"):
        Balanced(photos(np.zeros((3, 5), np.uint8)), TAXONOMY, recipe())
