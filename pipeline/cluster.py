"""What the Kubeflow package gives its steps: image, CPU, memory, GPUs, retries, time, nodes, volumes and secrets."""

import dataclasses
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from models.registry import unknown

# Every step that a package may hold; a test holds this against the packages.
STEPS = (
    "CatalogueGen", "StatisticsGen", "SchemaGen", "ImportSchemaGen", "ExampleValidator", "Recall", "LabelValidator", "Tuner",
    "Trainer", "Embedder", "RetrievalEvaluator", "Remember", "IndexBuilder", "ReleaseValidator", "Releaser",
)  # fmt: skip
DEFAULT = "default"
RELEASES = "/releases"  # where the claim of the releases is mounted, as for the servers in serving/deploy/kubernetes
_SCHEMES = ("minio://", "s3://", "gs://")
_NAME = r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?"  # of what Kubernetes names
_TOLERATION = ("key", "operator", "value", "effect")


@dataclass(frozen=True)
class StepConfig:
    """What one step gets; 0 and empty leave it to the cluster."""

    image: str = ""  # instead of kubeflow.image
    cpu: float = 0.0  # cores
    memory: float = 0.0  # GB
    gpus: int = 0  # above 1 for the Trainer on JAX alone
    gpu: str = "nvidia.com/gpu"  # the kind, as the nodes call it
    retries: int = 0  # after a failure, a minute later, then two, then four ...
    timeout: float = 0.0  # hours, for each try
    node_selector: dict[str, Any] = field(default_factory=dict)  # label: value
    tolerations: list[Any] = field(default_factory=list)  # each with key, operator, value, effect


@dataclass(frozen=True)
class KubeflowConfig:
    """The compiled package."""

    image: str = "m3net:0.1.0"
    pipeline_root: str = "minio://mlpipeline/m3net"  # where artifacts go: minio://, s3:// or gs://
    artifacts: str = (
        ""  # a folder on a volume of many writers: artifacts stay there instead of being copied from and to the root
    )
    volumes: dict[str, Any] = field(default_factory=lambda: {"m3net-releases": RELEASES})  # a claim: where it is mounted
    secrets: dict[str, Any] = field(default_factory=dict)  # a secret: {its key: the variable of every step's environment}
    log_format: str = "text"  # of every step; or "json", each line with its run and step
    resources: dict[str, Any] = field(default_factory=dict, metadata={"each": StepConfig})  # a step, or default: what it gets

    def of(self, step: str) -> StepConfig:
        """What `step` gets: its own values, and where it has none those of `default`."""
        own, default = self.resources.get(step, StepConfig()), self.resources.get(DEFAULT, StepConfig())
        empty = StepConfig()
        names = [one.name for one in dataclasses.fields(StepConfig)]
        return StepConfig(**{n: getattr(own if getattr(own, n) != getattr(empty, n) else default, n) for n in names})


def unmounted(config: KubeflowConfig, releases: str) -> Iterator[str]:
    """One line for every folder that must outlive its step and lies on no volume; `releases` is where releases go."""
    for key, folder in (("release.folder", releases), ("kubeflow.artifacts", config.artifacts)):
        if folder and not any(PurePosixPath(folder).is_relative_to(str(path)) for path in config.volumes.values()):
            yield f"{key}: {folder} lies on none of kubeflow.volumes and would go with its step; mount a claim there"


def idle(config: KubeflowConfig, steps: Sequence[str], backend: str) -> Iterator[str]:
    """One line for every one of `steps` that would leave GPUs idle: all but the Trainer on JAX take one."""
    for step in steps:
        if (gpus := config.of(step).gpus) > 1 and (step, backend) != ("Trainer", "jax"):
            more = "; TensorFlow trains on one: set training.backend to jax, or gpus to 1" if step == "Trainer" else "; set 1"
            yield f"kubeflow.resources: {step} would use one of its {gpus} gpus{more}"


def unseen(config: KubeflowConfig, beam: Sequence[str]) -> Iterator[str]:
    """One line where the workers of the Beam runner in `beam` would not see the steps' artifacts."""
    runner = next((one.partition("=")[2] for one in reversed(beam) if one.startswith("--runner=")), "DirectRunner")
    if runner.lower() == "dataflowrunner":
        yield "beam.args: Dataflow's workers see no volume of the cluster; in the package take DirectRunner or FlinkRunner"
    elif runner.lower() != "directrunner" and not config.artifacts:
        yield f"beam.args: {runner}'s workers see artifacts on a volume alone; set kubeflow.artifacts to a folder on one"


def broken(config: KubeflowConfig) -> Iterator[str]:
    """One line for every value that cannot be used."""
    if not re.fullmatch(r"[a-z0-9][\w.:/@-]*", config.image):
        yield f"kubeflow.image: an image's name, such as registry.example/m3net:0.1.0; got {config.image!r}"
    if not config.pipeline_root.startswith(_SCHEMES):
        yield f"kubeflow.pipeline_root: begins with {', '.join(_SCHEMES)}; got {config.pipeline_root}"
    for name, path in config.volumes.items():
        if not (re.fullmatch(_NAME, str(name)) and isinstance(path, str) and path.startswith("/")):
            yield f"kubeflow.volumes: the name of a claim: an absolute path; got {name}: {path}"
    for name, keys in config.secrets.items():
        if not (re.fullmatch(_NAME, str(name)) and isinstance(keys, dict) and all(_variable(one) for one in keys.values())):
            yield f"kubeflow.secrets: the name of a secret: {{key: VARIABLE}}; got {name}: {keys}"
    if config.log_format not in ("text", "json"):
        yield f"kubeflow.log_format: {unknown('format', config.log_format, ('text', 'json'))}"
    for step, given in config.resources.items():
        if step not in (*STEPS, DEFAULT):
            yield f"kubeflow.resources: {unknown('step', step, (*STEPS, DEFAULT))}"
        yield from (f"kubeflow.resources.{step}.{line}" for line in _broken(given))


def _variable(name: Any) -> bool:
    return bool(re.fullmatch(r"[A-Za-z_]\w*", str(name)))


def _broken(given: StepConfig) -> Iterator[str]:
    for name in ("cpu", "memory", "gpus", "retries", "timeout"):
        value = getattr(given, name)
        if not (math.isfinite(value) and value >= 0):
            yield f"{name}: not negative and finite; got {value}"
    for one in given.tolerations:
        if not isinstance(one, dict) or not set(one) <= {*_TOLERATION}:
            yield f"tolerations: each has {', '.join(_TOLERATION)}; got {one}"
