"""The recipe: every choice that decides what a trained model is, as two frozen dataclasses of plain values.

Standard library only: the configuration file is read, checked and printed without Keras.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class ModelConfig:
    """What is built. `weights`: empty = random, "imagenet", or the path of a Keras weights file for the backbone."""

    system: str = "m3net+"
    backbone: str = "small"
    weights: str = ""
    image_size: int = 96  # pixels, height and width of the network's input
    attention_dim: int = 128  # d, the space in which attribute and class embeddings meet the map's positions
    class_dim: int = 64  # D, the length of one class-specific vector phi_m
    kappa: float = 0.0  # weight of cos(phi_m, phi_m) in the retrieval score; above 0 a vector is (1 + D) times as long


@dataclass(frozen=True)
class TrainingConfig:
    """How it is trained. Loss = L_M + instance_weight * L_CI + cluster_weight * L_CC."""

    epochs: int = 10
    min_steps: int = 0  # a small catalogue is gone through more often, until this many steps are taken
    batch_size: int = 64
    learning_rate: float = 5e-3  # the peak of the one-cycle schedule
    weight_decay: float = 0.05  # on matrices and kernels only
    warmup: float = 0.2  # share of all steps with a linearly rising rate
    margin: float = 0.2  # of both triplet losses, a difference of two cosines
    instance_weight: float = 1.0
    cluster_weight: float = 1.0
    centre_decay: float = 0.9  # a step, of the moving average that holds a class's centre
    flip: bool = True  # mirror half the photos
    shift: int = 6  # pixels, the largest random shift, edges replicated
    seed: int = 0
