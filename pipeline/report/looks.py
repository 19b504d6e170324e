"""What the model itself says of some photos: class posteriors and where it looked."""

from pathlib import Path

import numpy as np

from models.taxonomy import Taxonomy

_BATCH = 64


class Looks:
    """`posteriors` float32 (M,) and `attention` float32 (N, H, W) by photo id, of the model in the folder `model`."""

    def __init__(self, model: Path, photos: dict[str, bytes]) -> None:
        import tensorflow as tf

        from models import systems
        from models.features import decode_photos
        from models.trainer import MODEL_FILE

        system = systems.load(model / MODEL_FILE)
        self.taxonomy: Taxonomy = system.taxonomy
        self.posteriors: dict[str, np.ndarray] = {}
        self.attention: dict[str, np.ndarray] = {}
        ids = list(photos)
        for start in range(0, len(ids), _BATCH):
            some = ids[start : start + _BATCH]
            outputs = system(decode_photos(tf.constant([photos[i] for i in some]), system.photo_size), training=False)
            self.posteriors.update(zip(some, np.asarray(system.posteriors(outputs)), strict=True))
            self.attention.update(zip(some, np.asarray(outputs["attention"]), strict=True))
