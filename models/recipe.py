"""The recipe: every choice that decides what a trained model is, as two frozen dataclasses of plain values.

Standard library only: the configuration file is read, checked and printed without Keras.
"""

from dataclasses import dataclass

RECIPE_FILE = "recipe.json"  # beside a trained model: what it was trained by


@dataclass(frozen=True)
class ModelConfig:
    """What is built. `weights`: empty = random, "imagenet", or the path of a Keras weights file for the backbone."""

    system: str = "m3net+"
    recipe: str = ""  # the recipe's name where a system has several, as asen_v2@documented; stands for the system in results
    backbone: str = "small"
    weights: str = ""
    image_size: int = 96  # pixels, height and width of the network's input
    photo_size: int = 0  # pixels of the photos that asen++ cuts its crops from; 0 = image_size
    local_backbone: str = "small"  # of asen++'s local branch, which sees a crop of half of image_size
    local_weights: str = ""
    attention_dim: int = 128  # d, the space in which attribute and class embeddings meet the map's positions
    class_dim: int = 64  # D, the length of one class-specific vector phi_m
    kappa: float = 0.0  # M3-Net's forms: weight of cos(phi_m, phi_m) in the score; above 0 a vector is (1 + D) times as long
    mirror: bool = False  # outside training the outputs are the mean over a photo and its mirror image, at twice the time
    balance: float = 0.0  # posteriors in a score are over their class's frequency to this power: rare classes rank higher
    rank: int = 0  # with kappa: numbers that the part of it beyond the posteriors is projected to; 0 = all K D of them


@dataclass(frozen=True)
class TrainingConfig:
    """How it is trained. Loss = L_M + instance_weight * L_CI + cluster_weight * L_CC.

    `sampling`: "in_batch" = shuffled photos, all labels of a batch at once; "balanced" = the same by pairs, attribute and
    class uniform; "documented" = the ASEN family's random triplets. `schedule`: "one_cycle" = linear warm-up, then half
    a cosine down to 0; "cosine" = the latter alone; "step" = times `decay` every `decay_epochs` epochs.
    """

    backend: str = "tensorflow"  # or "jax", which spreads a batch over all GPUs of its host; TensorFlow takes one
    epochs: int = 10
    min_steps: int = 0  # a small catalogue is gone through more often, until this many steps are taken
    batch_size: int = 64  # photos; with documented sampling triplets
    sampling: str = "in_batch"
    triplets: int = 0  # an epoch, with documented sampling; 0 = a third of the photos, so that as many are seen
    views: int = 1  # how often each photo stands in its batch, each time augmented anew
    warm_start: str = "none"  # or "last": from the weights of the last model blessed before these photos came
    learning_rate: float = 5e-3  # the peak of the schedule
    schedule: str = "one_cycle"
    warmup: float = 0.2  # share of all steps with a linearly rising rate
    decay: float = 0.9
    decay_epochs: int = 3
    backbone_rate: float = 1.0  # times learning_rate, for the backbone; 0 freezes it
    frozen_norm: bool = False  # the backbone's batch normalisation keeps the statistics and scales it came with
    weight_decay: float = 0.05  # on matrices and kernels only
    accumulate: int = 1  # batches whose gradients are averaged for one update
    average: float = 0.0  # decay a step of a moving average of the weights, which is then what is validated and kept; 0 = none
    precision: str = "float32"  # or "bfloat16", of activations; weights and losses stay float32
    patience: int = 0  # epochs without a better validation MAP after which a stage ends; 0 = never
    second_stage: float = 0.3  # share of the epochs, at the end: asen++ trains both branches, modc takes pseudo labels
    margin: float = 0.2  # of both triplet losses, a difference of two cosines
    instance_weight: float = 1.0
    cluster_weight: float = 1.0
    centre_decay: float = 0.9  # a step, of the moving average that holds a class's centre
    flip: bool = True  # mirror half the photos
    shift: int = 6  # pixels, the largest random shift, edges replicated
    zoom: float = 0.0  # the largest random change of height and of width, each by itself, as a share of them
    seed: int = 0


@dataclass(frozen=True)
class TuningConfig:
    """A search before training, by validation MAP alone; its best values replace those of the recipe.

    A range is [lowest, highest], and two equal numbers leave it out; `class_dim` lists the sizes to choose from.
    """

    trials: int = 0  # 0 = no search
    epochs: int = 5  # of one trial, each with the whole schedule
    seed: int = 0
    learning_rate: tuple[float, ...] = (5e-4, 2e-2)  # sampled by its logarithm
    instance_weight: tuple[float, ...] = (0.0, 2.0)
    cluster_weight: tuple[float, ...] = (0.0, 2.0)
    margin: tuple[float, ...] = (0.05, 0.5)
    class_dim: tuple[int, ...] = (32, 64, 128)
