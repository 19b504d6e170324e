"""Computes what must not depend on the backend and writes it as one .npz; run as a program: FILE SYSTEM..."""

import sys
from dataclasses import replace

import keras
import numpy as np
from keras import ops

from models import systems
from models.class_sampling import batches
from models.grid import Grid
from models.losses.alignment import alignment_loss
from models.losses.classification import best_l_m, published_l_m
from models.losses.cluster import cluster_loss, prototype_loss
from models.losses.triplet import attribute_loss, drawn_triplet_loss, instance_loss
from models.recipe import ModelConfig, TrainingConfig
from models.sampling import Photos
from models.scoring import retrieval_vectors
from models.taxonomy import Attribute, Taxonomy
from tests.models.tiny import CONFIG

TAXONOMY = Taxonomy((Attribute("neck", ("v", "crew")), Attribute("sleeve", ("none", "short", "long"), multi_label=True)))
RECIPE = TrainingConfig(batch_size=8)


def losses(labels: np.ndarray, random: np.random.Generator) -> dict[str, np.ndarray]:
    """Every loss at random logits and vectors."""
    grid, y = Grid(TAXONOMY), labels.astype(np.float32)
    logits, phi, centres = (random.normal(size=shape).astype(np.float32) for shape in ((12, 5), (12, 5, 4), (5, 4)))
    found = {
        "published": published_l_m(y, logits, grid, np.float32([1, 2, 3, 4, 5])),
        "best": best_l_m(y, logits, grid, np.array([False, True])),
        "instance": instance_loss(y, phi, grid, 0.4),
        "cluster": cluster_loss(y, phi, centres, grid, 0.4),
        "prototype": prototype_loss(y, phi[:, :2], centres, grid, 0.4),
        "attribute": attribute_loss(y, phi[:, :2], grid, 0.4),
        "drawn": drawn_triplet_loss(y, phi[:, :2], grid, 0.4),
        "alignment": alignment_loss(y, phi[:, :2], phi[:, 2:4], grid),
    }
    return {f"loss {key}": ops.convert_to_numpy(value) for key, value in found.items()}


def short_vectors(random: np.random.Generator) -> np.ndarray:
    """Retrieval vectors by a drawn basis."""
    posteriors, phi, basis = (random.random(shape).astype(np.float32) for shape in ((12, 5), (12, 5, 4), (2, 12, 6)))
    return ops.convert_to_numpy(retrieval_vectors(posteriors, phi, Grid(TAXONOMY), 0.5, basis))


def epoch(name: str, photos: Photos, random: np.random.Generator) -> dict[str, np.ndarray]:
    """Outputs before, and every variable after, two epochs of one step each, by gradient descent from given weights.

    Not by AdamW: its first step is the gradient's sign, which rounding turns where a gradient is all but zero.
    """
    system = systems.build(ModelConfig(system=name, **CONFIG), TAXONOMY)
    system.set_weights([np.abs(w) + 0.05 * random.random(w.shape) for w in system.get_weights()])
    system.set_weights([0.1 * random.normal(size=w.shape) if w.ndim > 1 else w for w in system.get_weights()])
    outputs = system.predict_on_batch(photos.images.astype(np.float32))
    system.compile(optimizer=keras.optimizers.SGD(0.01))
    # By triplets where it may be: those draw the attribute, which takes asen++ another way.
    recipe = replace(RECIPE, sampling="documented", batch_size=4) if name == "asen++" else RECIPE
    system.prepare(recipe, photos.labels)
    system.enter(system.stages)  # the last stage has all parts of the loss
    history = system.fit(batches(photos, TAXONOMY, recipe), epochs=2, verbose=0, shuffle=False).history
    # Optimizer and metrics apart, `variables` in their order: weights, statistics, centres.
    after = {f"{v.path.split('/', 1)[-1]}": ops.convert_to_numpy(v) for v in system.variables if "seed" not in v.path}
    logs = {f"log_{key}": np.array(value) for key, value in history.items()}
    return {f"{name} {key}": value for key, value in {**outputs, **after, **logs}.items()}


if __name__ == "__main__":
    shared = np.random.default_rng(0)
    hot = (shared.random((12, 5)) < 0.4).astype(np.uint8)
    text = [f"{i:02}" for i in range(12)]
    some = Photos(shared.integers(0, 256, (12, 32, 32, 3), np.uint8), np.arange(12), hot, text, text)
    results = losses(hot, shared) | {"short vectors": short_vectors(shared)}
    for system_name in sys.argv[2:]:
        results |= epoch(system_name, some, np.random.default_rng(1))
    np.savez(sys.argv[1], backend=keras.backend.backend(), **results)
