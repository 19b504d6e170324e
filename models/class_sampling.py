"""Draws that start from an attribute and a class of it, not from a photo: ASEN's random triplets, and balanced pairs.

Every draw is uniform over attributes first, so that one with few photos is seen as often as one with many.
"""

import numpy as np

from models.errors import TrainingError
from models.recipe import TrainingConfig
from models.sampling import Batches, Photos
from models.taxonomy import Taxonomy

_TRIES = 20  # draws of a negative before all that are allowed are looked for


class Pools:
    """The photos of each class, and the labelled entries (photo, class) of each attribute, class by class."""

    def __init__(self, labels: np.ndarray, taxonomy: Taxonomy) -> None:
        self.labels = labels
        self.slices = list(taxonomy.slices.values())
        self.of_class = [np.flatnonzero(column) for column in labels.T]
        self.sizes = np.array([len(pool) for pool in self.of_class])
        self.entries = [np.concatenate(self.of_class[one]) for one in self.slices]
        self.known = np.array([labels[:, one].any(axis=1).sum() for one in self.slices])

    def classes(self, allowed: np.ndarray) -> list[np.ndarray]:
        """Of each attribute, the classes (numbers among the M) that are `allowed`, bool (M,)."""
        return [np.flatnonzero(allowed[one]) + one.start for one in self.slices]


class Balanced(Batches):
    """Pairs of photos of one class: attribute uniform, then class; all of a photo's labels count.

    A class with one photo is drawn with a photo of any class beside it.
    """

    def __init__(self, photos: Photos, taxonomy: Taxonomy, recipe: TrainingConfig) -> None:
        super().__init__(photos, recipe)
        self.pools = Pools(photos.labels, taxonomy)
        self.classes = [found for found in self.pools.classes(self.pools.sizes > 0) if len(found)]
        if not self.classes:
            raise TrainingError("no photo of the split train has a label; there is nothing to learn from")

    def draw(self, batch: int) -> tuple[np.ndarray, np.ndarray | None]:
        """See `Batches`."""
        random = np.random.default_rng([self.recipe.seed, self.epoch, batch, 1])
        pairs = [self._pair(random) for _ in range((self.size + 1) // 2)]
        return np.array(pairs).ravel()[: self.size], None

    def _pair(self, random: np.random.Generator) -> tuple[int, int]:
        pool = self.pools.of_class[_one(random, self.classes[int(random.integers(len(self.classes)))])]
        if len(pool) > 1:
            first, second = random.choice(pool, 2, replace=False).tolist()
            return first, second
        return int(pool[0]), int(random.integers(len(self.photos.ids)))


class Triplets(Batches):
    """The ASEN family's random triplets: anchor, positive and negative after each other, all under one attribute.

    Attribute uniform; the positive's class uniform over the attribute's; anchor and positive two photos of it; the negative
    uniform over the labelled entries of other classes, or with `value_negatives` another class uniformly, then a photo of it.
    A class with one photo is only ever a negative, an attribute without two photos of a class and one beside is left out.
    A negative shares no class with the anchor where that can be had; the documents do not ask for it, nor does it matter
    but for multi-label attributes.

    Source: Ma et al., AAAI 2020; Dong et al., TIP 2021 and ASEN++, whose negatives are drawn by value.
    """

    def __init__(self, photos: Photos, taxonomy: Taxonomy, recipe: TrainingConfig, value_negatives: bool) -> None:
        super().__init__(photos, recipe)
        self.value_negatives = value_negatives
        self.pools = Pools(photos.labels, taxonomy)
        known = np.repeat(self.pools.known, [s.stop - s.start for s in self.pools.slices])
        usable = (self.pools.sizes > 1) & (self.pools.sizes < known)
        self.classes = [(a, found) for a, found in enumerate(self.pools.classes(usable)) if len(found)]
        if not self.classes:
            raise TrainingError("no attribute has two training photos of one class and one of another; triplets need them")

    @property
    def size(self) -> int:
        """Photos of a batch: three a triplet."""
        return 3 * self.recipe.batch_size

    def __len__(self) -> int:
        triplets = self.recipe.triplets or len(self.photos.ids) // 3
        return max(1, triplets // self.recipe.batch_size)

    def draw(self, batch: int) -> tuple[np.ndarray, np.ndarray | None]:
        """See `Batches`."""
        random = np.random.default_rng([self.recipe.seed, self.epoch, batch, 1])
        index, attributes = [], []
        for _ in range(self.recipe.batch_size):
            attribute, classes = self.classes[int(random.integers(len(self.classes)))]
            shared = _one(random, classes)
            anchor, positive = random.choice(self.pools.of_class[shared], 2, replace=False).tolist()
            index += [anchor, positive, self._negative(random, attribute, shared, anchor)]
            attributes += [attribute] * 3
        return np.array(index), np.array(attributes)

    def labels(self, index: np.ndarray, attribute: np.ndarray | None) -> np.ndarray:
        """Those of the attribute that a photo was drawn for; the others blank, and so the triplet tells its attribute."""
        hot = np.zeros((len(index), self.photos.labels.shape[1]), np.float32)
        for row, photo in enumerate(index):
            own = self.pools.slices[attribute[row]]  # type: ignore[index]  # triplets always have one
            hot[row, own] = self.photos.labels[photo, own]
        return hot

    def _negative(self, random: np.random.Generator, attribute: int, shared: int, anchor: int) -> int:
        own = self.photos.labels[:, self.pools.slices[attribute]]
        for _ in range(_TRIES):
            found = self._other(random, attribute, shared)
            if not (own[found] & own[anchor]).any():
                return found
        known = own.any(axis=1)
        apart = np.flatnonzero(known & ~(own & own[anchor]).any(axis=1))
        lacking = np.flatnonzero(known & (self.photos.labels[:, shared] == 0))
        return _one(random, apart if len(apart) else lacking)

    def _other(self, random: np.random.Generator, attribute: int, shared: int) -> int:
        """A photo by one of its labels other than the class `shared`."""
        own, sizes = self.pools.slices[attribute], self.pools.sizes
        if self.value_negatives:
            others = np.flatnonzero(sizes[own]) + own.start
            return _one(random, self.pools.of_class[_one(random, others[others != shared])])
        before = int(sizes[own.start : shared].sum())  # entries lie class by class: the class's own are stepped over
        place = int(random.integers(len(self.pools.entries[attribute]) - sizes[shared]))
        return int(self.pools.entries[attribute][place if place < before else place + sizes[shared]])


def batches(photos: Photos, taxonomy: Taxonomy, recipe: TrainingConfig, value_negatives: bool = False) -> Batches:
    """What `recipe.sampling` draws. Raises: TrainingError where the labels do not allow it."""
    if recipe.sampling == "documented":
        return Triplets(photos, taxonomy, recipe, value_negatives)
    return Balanced(photos, taxonomy, recipe) if recipe.sampling == "balanced" else Batches(photos, recipe)


def _one(random: np.random.Generator, among: np.ndarray) -> int:
    """One of `among`, int (n,), uniformly."""
    return int(among[int(random.integers(len(among)))])
