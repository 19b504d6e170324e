"""Several devices: each holds a share of every batch, and all hold the weights."""

import keras

from models.errors import TrainingError


def use_all(batch: int) -> int:
    """Spreads what is built and trained from here on over all devices, on JAX; the numbers are those of one device.

    On TensorFlow one device trains: a loss that compares the photos of a batch would see a device's share alone there,
    and mean another thing with each number of devices.

    Args: batch: photos, which must divide among the devices.
    Returns: how many devices there are. Raises: TrainingError where the batch does not divide.
    """
    devices = keras.distribution.list_devices() if keras.backend.backend() == "jax" else []
    if len(devices) < 2:
        return 1
    if batch % len(devices):
        raise TrainingError(
            f"a batch of {batch} photos does not divide among {len(devices)} devices; change training.batch_size"
        )
    keras.distribution.set_distribution(keras.distribution.DataParallel(devices=devices))
    return len(devices)
