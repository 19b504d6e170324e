"""The configurations of the paper's data sets, on their layouts: every system is built for their classes and ranks with them."""

from pathlib import Path

import numpy as np
import pytest

from components.catalogue_gen.readers.reader import reader_of
from models import systems
from models.registry import SYSTEMS
from models.taxonomy import Taxonomy
from pipeline.config import QUICK, load
from tests.components.test_readers import LISTS, public

# The sizes of the backbone alone are changed: 300 MB of activations would test Keras.
SMALL = ["model.backbone=small", "model.weights=", "model.local_backbone=small", "model.image_size=32", "model.photo_size=0"]
CLASSES = {"fashionai": ("FashionAI", 54), "darn": ("DARN", 185), "deepfashion": ("DeepFashion", 1000)}


@public
@pytest.mark.slow
@pytest.mark.parametrize("name", CLASSES)
def test_a_system_for_each_data_set(name: str) -> None:
    folder, classes = CLASSES[name]
    for system in ("m3net+", "asen_v2"):
        config = load(QUICK.parent / f"{name}.yaml", [f"model.system={system}", *SMALL])
        taxonomy = reader_of(config.data.format).taxonomy(str(LISTS / folder))
        assert isinstance(taxonomy, Taxonomy)
        assert taxonomy.num_classes == classes
        built = systems.build(config.model, taxonomy)
        images = np.zeros((2, 32, 32, 3), np.float32)
        vectors = built.vectors(built(images))
        assert vectors.shape == (2, len(taxonomy.attributes), built.vector_length)


def test_every_system_has_a_name_that_study_takes() -> None:
    assert {"classifier", "asen", "asen_v2", "asen++", "modc", "m3net_a", "m3net_c", "m3net", "m3net+"} == set(SYSTEMS)
    assert Path(QUICK.parent / "fashionai.yaml").is_file()
