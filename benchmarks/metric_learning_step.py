"""m3net's full training step beside a triplet step that a user of pytorch-metric-learning writes on the same backbone.

    PEERS/bin/python -m benchmarks.metric_learning_step [--threads 1] [--tensorflow .venv/bin/python] [--batch 64]
        [--backbone small] [--size 96] [--rounds 7]

PEERS is a virtual environment of its own: pip install torch pytorch-metric-learning keras numpy tabulate. There Keras runs on
PyTorch, for m3net as for the peer. With `--tensorflow`, an interpreter of our own, m3net also runs in a process of its own on
TensorFlow, as the Trainer runs it. All take turns within a round, warm; a ratio is the median over rounds.

The peer: backbone, mean over positions, a linear embedding an attribute, `TripletMarginMiner` (semihard) and
`TripletMarginLoss` on cosines an attribute, AdamW; eagerly, as Keras runs m3net on PyTorch. Once for all eight attributes of
a batch, as m3net learns them, and once for one: what learns a single attribute.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "torch")

import keras
import numpy as np
from tabulate import tabulate

from benchmarks.training_step import STEPS, TAXONOMY, noise, steps, timed
from models.backbones import build_backbone
from models.class_sampling import batches
from models.recipe import ModelConfig, TrainingConfig
from models.sampling import Photos

LENGTH = 128  # numbers in the peer's embedding
ALL = f"pytorch-metric-learning, {len(TAXONOMY.attributes)} attributes"
ONE = "pytorch-metric-learning, 1 attribute"


def peer(photos: Photos, model: ModelConfig, recipe: TrainingConfig, attributes: int) -> Callable[[], None]:
    """`STEPS` training steps of the peer, for the first `attributes` of the taxonomy."""
    import torch
    from pytorch_metric_learning.distances import CosineSimilarity
    from pytorch_metric_learning.losses import TripletMarginLoss
    from pytorch_metric_learning.miners import TripletMarginMiner

    backbone = build_backbone(model.backbone, model.image_size)
    heads = [torch.nn.Linear(backbone.output_shape[-1], LENGTH) for _ in range(attributes)]
    weights = [v.value for v in backbone.trainable_variables] + [w for head in heads for w in head.parameters()]
    adam = torch.optim.AdamW(weights, recipe.learning_rate, weight_decay=recipe.weight_decay)
    miner = TripletMarginMiner(recipe.margin, "semihard", distance=CosineSimilarity())
    loss = TripletMarginLoss(recipe.margin, distance=CosineSimilarity())
    given, told = batches(photos, TAXONOMY, recipe)[0]
    images = torch.from_numpy(given["images"])
    classes = [torch.from_numpy(told["labels"][:, own].argmax(axis=1)) for own in TAXONOMY.slices.values()]

    def one(pooled: torch.Tensor, attribute: int) -> torch.Tensor:
        embedding = heads[attribute](pooled)
        return loss(embedding, classes[attribute], miner(embedding, classes[attribute]))

    def run() -> None:
        for _ in range(STEPS):
            adam.zero_grad()
            pooled = backbone(images.float(), training=True).mean((1, 2))
            torch.stack([one(pooled, attribute) for attribute in range(attributes)]).sum().backward()
            adam.step()

    return run


def use(threads: int) -> None:
    """What Keras computes with takes so many threads; 0 leaves them as they are."""
    if threads and keras.backend.backend() == "torch":
        import torch

        torch.set_num_threads(threads)
    elif threads:
        import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)


def elsewhere(python: str) -> Callable[[], float]:
    """This command in a process on TensorFlow, which times m3net whenever it is called: seconds."""
    command = [python, "-m", "benchmarks.metric_learning_step", *sys.argv[1:]]
    environment = os.environ | {"KERAS_BACKEND": "tensorflow"}
    other = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)

    def ask() -> float:
        print(file=other.stdin, flush=True)
        return float(other.stdout.readline())  # type: ignore[union-attr]  # it is a pipe

    return ask


def measured(
    ours: Callable[[], None], photos: Photos, model: ModelConfig, recipe: TrainingConfig, args: argparse.Namespace
) -> None:
    """Prints the table."""
    runs = {"m3net, PyTorch": partial(timed, ours)}
    runs[ALL] = partial(timed, peer(photos, model, recipe, len(TAXONOMY.attributes)))
    runs[ONE] = partial(timed, peer(photos, model, recipe, 1))
    if args.tensorflow:
        runs["m3net, TensorFlow"] = elsewhere(args.tensorflow)  # type: ignore[assignment]
    rounds = [{name: run() for name, run in runs.items()} for _ in range(args.rounds + 1)][1:]  # the first warms up
    rows = []
    for name in runs:
        rate = STEPS * args.batch / np.median([found[name] for found in rounds])
        ratios = [np.median([found[name] / found[other] for found in rounds]) for other in (ALL, ONE)]
        rows.append([name, f"{rate:.0f}", *(f"{ratio:.3f}" for ratio in ratios)])
    print(f"{args.backbone} at {args.size} px, batch {args.batch}, {args.threads or 'all'} threads, {args.rounds} rounds")
    print(tabulate(rows, ("", "photos/s, median", "time / 8 attributes'", "time / 1 attribute's"), disable_numparse=True))


def main() -> None:
    """Prints one table; on TensorFlow, answers each line with the seconds that m3net took."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--tensorflow", default="")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--backbone", default="small")
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    use(arguments.threads)
    model = ModelConfig(backbone=arguments.backbone, image_size=arguments.size)
    recipe = TrainingConfig(batch_size=arguments.batch)
    with tempfile.TemporaryDirectory() as folder:
        photos = noise(Path(folder), STEPS * arguments.batch, arguments.size)
        ours = steps("m3net", photos, model, recipe)
        if keras.backend.backend() == "torch":
            measured(ours, photos, model, recipe, arguments)
        else:
            for _ in sys.stdin:
                print(timed(ours), flush=True)


if __name__ == "__main__":
    main()
