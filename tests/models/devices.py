"""Trains a system on all devices of JAX and writes its losses and weights as one .npz; run as a program: FILE SYSTEM."""

import sys

import keras
import numpy as np

from models import systems
from models.devices import use_all
from models.recipe import ModelConfig, TrainingConfig
from models.sampling import Photos
from models.taxonomy import Attribute, Taxonomy
from models.training import fit
from tests.models.tiny import CONFIG

TAXONOMY = Taxonomy((Attribute("neck", ("v", "crew")), Attribute("sleeve", ("none", "short", "long"), multi_label=True)))

if __name__ == "__main__":
    recipe = TrainingConfig(epochs=2, batch_size=16, learning_rate=1e-3, accumulate=2, average=0.5)
    devices = use_all(recipe.batch_size)
    keras.utils.set_random_seed(3)
    system = systems.build(ModelConfig(system=sys.argv[2], **CONFIG), TAXONOMY)
    random = np.random.default_rng(0)
    hot = (random.random((64, 5)) < 0.4).astype(np.uint8)
    text, roles = [f"{i:02}" for i in range(64)], ["query" if i % 4 == 0 else "candidate" for i in range(64)]
    photos = Photos(random.integers(0, 256, (64, 32, 32, 3), np.uint8), np.arange(64), hot, text, roles)
    history = fit(system, photos, photos, recipe)
    losses = np.array([[row["loss"], row["valid_map"]] for row in history])
    weights = {f"w{i}": np.asarray(w) for i, w in enumerate(system.get_weights())}
    np.savez(sys.argv[1], devices=devices, losses=losses, **weights)
