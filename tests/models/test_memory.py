"""MODC's memory against a list of what was seen, and its prototypes by hand."""

import numpy as np

from models.memory import Memory
from models.taxonomy import Taxonomy

RANDOM = np.random.default_rng(0)


def slow(
    entries: int, batches: list[tuple[np.ndarray, np.ndarray, np.ndarray]], attribute: int, own: slice
) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    """The queue of one attribute, a photo at a time: place to (vector, classes)."""
    places: list[int | None] = [None] * entries
    held: dict[int, tuple[np.ndarray, np.ndarray]] = {}
    start = 0
    for f, labels, photo in batches:
        window = {(start + i) % entries for i in range(len(photo))}
        before, seen = list(places), set()
        for vector, hot, number in zip(f[:, attribute], labels[:, own], photo.tolist(), strict=True):
            if not hot.any() or number in seen:
                continue
            seen.add(number)
            unit = vector / np.linalg.norm(vector)
            if number in before and before.index(number) not in window:
                place = before.index(number)
                held[place] = (0.5 * held[place][0] + 0.5 * unit, hot)
            else:
                place, start = start, (start + 1) % entries
                held[place] = (unit, hot)
            places[place] = number
    return held


def test_it_holds_what_a_slow_queue_holds(taxonomy: Taxonomy) -> None:
    memory = Memory(taxonomy.to_json(), dim=4, entries=20)
    batches = []
    for _ in range(12):
        photo = RANDOM.integers(0, 25, 6).astype(np.int32)  # doubles within a batch among them
        labels = (RANDOM.random((25, 5)) < 0.4).astype(np.float32)[photo]
        batches.append((RANDOM.normal(size=(6, 2, 4)).astype(np.float32), labels, photo))
        memory.remember(*batches[-1])
    features, classes = (np.asarray(v).reshape(2, 21, -1) for v in (memory.features, memory.classes))
    moved = 0
    for attribute, own in enumerate(taxonomy.slices.values()):
        held = slow(20, batches, attribute, own)
        for place in range(20):
            vector, hot = held.get(place, (np.zeros(4), np.zeros(own.stop - own.start)))
            np.testing.assert_allclose(features[attribute, place], vector, atol=1e-6)
            np.testing.assert_array_equal(classes[attribute, place, : len(hot)], hot)
            moved += 0 < np.linalg.norm(vector) < 0.999
    assert moved > 3  # some came back and were blended


def test_prototypes_are_means_of_what_is_held_and_stay_where_nothing_is(taxonomy: Taxonomy) -> None:
    memory = Memory(taxonomy.to_json(), dim=2, entries=10)
    f = np.zeros((3, 2, 2), np.float32)
    f[:, 0] = [[3, 0], [0, 2], [0, 5]]  # neck: v, v, crew
    f[:, 1] = [[0, -1], [7, 7], [7, 7]]  # sleeve: the first alone is labelled
    labels = np.float32([[1, 0, 0, 1, 1], [1, 0, 0, 0, 0], [0, 1, 0, 0, 0]])
    memory.remember(f, labels, np.arange(3, dtype=np.int32))
    before = np.full((5, 2), 9, np.float32)
    np.testing.assert_allclose(memory.prototypes(before), [[0.5, 0.5], [0, 1], [9, 9], [0, -1], [0, -1]], atol=1e-6)
