"""The configuration: one YAML file and `--set` overrides into frozen dataclasses; an unknown key is refused."""

import copy
import dataclasses
import difflib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from models.recipe import ModelConfig, TrainingConfig, TuningConfig
from models.registry import unknown
from pipeline.cluster import KubeflowConfig
from pipeline.limits import broken
from pipeline.metadata import MetadataConfig

QUICK = Path(__file__).parent / "configs" / "quick.yaml"


class ConfigError(ValueError):
    """A key or value that cannot be used; the message is one line: where, what, what to do."""


@dataclass(frozen=True)
class DataConfig:
    """What is read. Paths may be URLs that Beam's filesystems open."""

    catalogue: str = ""
    format: str = "catalogue"  # of what lies there; docs/formats.md has them all
    labels_only: bool = False  # opens no photo and stops after the statistics of the labels
    name: str = ""  # of the data set, in results; empty = the catalogue's folder, or the folder that it is
    taxonomy: str = ""  # path of a taxonomy.json to keep to; empty infers it
    max_reject_share: float = 0.1  # of all rows; above, the run stops
    long_side: int = 256  # pixels of a stored photo
    shards: int = 1  # files a split
    near_duplicates: str = "report"  # those in two splits by their rows; "reject" refuses the later ones, "off" looks for none
    near_duplicate_bits: int = 6  # of 128, in which their hashes may differ; 0 to 32


@dataclass(frozen=True)
class ValidationConfig:
    """When labels are odd, and what then. Fractions, on top of what chance does to as many photos."""

    schema: str = ""  # path of a schema.pbtxt to keep to; empty infers one
    max_skew: float = 0.1  # between a class's share in train and in valid or test
    max_drift: float = 0.1  # between a class's share in this run and in the last that passed
    on_anomaly: str = "warn"  # or "stop"


@dataclass(frozen=True)
class EvaluationConfig:
    """What is measured, and what blesses. Fractions."""

    protocol: str = "attribute"  # or "pair"
    slices: tuple[str, ...] = ("class",)  # cut the queries by class, or by an attribute or further column of the Embeddings
    min_map: float = 0.0
    max_drop: float = 0.02  # overall MAP may fall this far below the last blessed model's
    max_attribute_drop: float = 0.05  # an attribute's may fall so far, or further where that may be chance


@dataclass(frozen=True)
class IndexConfig:
    """What can be found, and how."""

    splits: tuple[str, ...] = ("train", "valid", "test")
    scann_above: int = 20_000  # items; exact search below
    recall: float = 0.98  # at 10, that an approximate index must reach


@dataclass(frozen=True)
class ReleaseConfig:
    """Where releases go, and how many of them stay."""

    folder: str = ""  # empty = releases/ in the output folder
    keep: int = 0  # whole versions, the newest; older ones are removed after a push. 0 = all stay
    models_config: str = ""  # path of the servers' models.config: a version that a label of it names stays, too


_ABOUT_WORKERS = (
    "--runner=Dataflow", "--sdk_container_image", "--worker_harness_container_image", "--prebuild_sdk_container",
    "--environment_type=DOCKER", "--extra_package", "--requirements_file", "--setup_file",
)  # fmt: skip


@dataclass(frozen=True)
class BeamConfig:
    """Options of Beam's runner, as on its command line."""

    args: tuple[str, ...] = ("--runner=DirectRunner", "--direct_running_mode=in_memory", "--direct_num_workers=1")

    def options(self) -> list[str]:
        """`args`, with an option that keeps Beam's direct runner in Python, and one that keeps TFX from packing itself.

        Beam would download another runner, written in Go, and start that: it ignores `--direct_*`, and where the download is
        barred, each pipeline waits for it in vain. TFX would copy itself into a temporary folder for each Beam step, and
        leave it there (3 seconds and 52 MB a step), for workers that have m3net, and so TFX, installed.
        """
        # Neither has an option that says so. TFX takes the name of the workers' image as a reason not to pack; it is left to
        # `args` where the workers are containers of it, or get packages. Beam takes the other as a reason to stay in Python;
        # it allows triggers that none of our pipelines has.
        arranged = any(one.startswith(_ABOUT_WORKERS) for one in self.args)
        return [*self.args, *([] if arranged else ["--sdk_container_image=m3net"]), "--allow_unsafe_triggers"]


@dataclass(frozen=True)
class Config:
    """All of it, by part."""

    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    tuning: TuningConfig = field(default_factory=TuningConfig)
    validation: ValidationConfig = field(default_factory=ValidationConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    index: IndexConfig = field(default_factory=IndexConfig)
    release: ReleaseConfig = field(default_factory=ReleaseConfig)
    beam: BeamConfig = field(default_factory=BeamConfig)
    kubeflow: KubeflowConfig = field(default_factory=KubeflowConfig)
    metadata: MetadataConfig = field(default_factory=MetadataConfig)

    @property
    def dataset(self) -> str:
        """The data set's name in results."""
        spans = self.data.catalogue.partition("{SPAN}")  # the folder of all spans, not the first one's
        path = Path(spans[0] + "-").parent / "-.csv" if spans[1] else Path(self.data.catalogue).resolve()
        return self.data.name or (path.parent if path.suffix else path).name


def load(path: Path, overrides: Sequence[str] = ()) -> Config:
    """Reads a YAML file, takes the recipe of the system, then applies each override "part.key=value".

    `recipes` in the file holds what differs for a system, by its name; or for one of several ways to train it, as
    asen_v2@documented, which is then asked for as the system. Raises: ConfigError.
    """
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except OSError:
        raise ConfigError(f"{path}: no such file; give --config a YAML file") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(found, dict):
        raise ConfigError(f"{path}: expected parts such as data: and training:, got {type(found).__name__}")
    recipes = found.pop("recipes", None) or {}
    asked = copy.deepcopy(found)
    for override in overrides:
        _set(asked, override)
    found = _with_recipe(found, recipes, _system(asked), str(path))
    for override in overrides:
        _set(found, override)
    if "@" in (name := _system(found)):
        found["model"] |= {"system": name.partition("@")[0], "recipe": name}
    config: Config = _build(Config, found, str(path), "")
    for line in broken(config):
        raise ConfigError(f"{path}, with --set: {line}" if overrides else f"{path}: {line}")
    return config


def _system(found: dict[str, Any]) -> str:
    model = found.get("model")
    return str(model.get("system", ModelConfig.system)) if isinstance(model, dict) else ModelConfig.system


def _with_recipe(found: dict[str, Any], recipes: Any, name: str, file: str) -> dict[str, Any]:
    """`found` under the recipe called `name`, if there is one; one with an @ there must be."""
    if not isinstance(recipes, dict) or not all(isinstance(one, dict) for one in recipes.values()):
        raise ConfigError(f"{file}: recipes: expected names of systems, each with parts such as training:")
    if "@" in name and name not in recipes:
        raise ConfigError(f"{file}: {unknown('recipe', name, recipes)}" if recipes else f'{file} has no recipe "{name}"')
    merged = copy.deepcopy(found)
    for part, values in recipes.get(name, {}).items():
        base = merged.get(part)
        merged[part] = {**base, **values} if isinstance(base, dict) and isinstance(values, dict) else values
    return merged


def _set(found: dict[str, Any], override: str) -> None:
    key, sign, value = override.partition("=")
    part, dot, name = key.partition(".")
    if not (sign and dot and part and name):
        raise ConfigError(f"--set {override}: expected part.key=value, such as training.epochs=3")
    section = found.setdefault(part, {})
    if isinstance(section, dict):
        section[name] = yaml.safe_load(value) if value else ""


def _build(kind: type, values: Any, file: str, where: str) -> Any:
    """The dataclass `kind` of `values`, recursively, every key and type checked."""
    if not isinstance(values, dict):
        raise ConfigError(f"{file}: {where or 'the file'} holds keys and values, got {values!r}")
    fields = {f.name: f for f in dataclasses.fields(kind)}
    made = {}
    for key, value in values.items():
        if key not in fields:
            near = difflib.get_close_matches(str(key), fields, n=1)
            hint = f'did you mean "{near[0]}"?' if near else f"there are: {', '.join(fields)}"
            raise ConfigError(f'{file}: unknown key "{where}{key}"; {hint}')
        if each := fields[key].metadata.get("each"):
            made[key] = _each(each, value, file, f"{where}{key}")
        else:
            made[key] = _value(getattr(kind(), key), value, file, f"{where}{key}")
    return kind(**made)


def _each(kind: type, values: Any, file: str, where: str) -> dict[str, Any]:
    """A dataclass `kind` for every name in `values`."""
    if not isinstance(values, dict):
        raise ConfigError(f"{file}: {where} holds names, each with keys and values; got {values!r}")
    return {str(name): _build(kind, {} if one is None else one, file, f"{where}.{name}.") for name, one in values.items()}


def _value(default: Any, value: Any, file: str, where: str) -> Any:
    if dataclasses.is_dataclass(default):
        return _build(type(default), value if value is not None else {}, file, f"{where}.")
    if isinstance(default, tuple) and isinstance(value, list):
        if default and not isinstance(default[0], str):
            return tuple(_value(default[0], one, file, where) for one in value)
        return tuple(str(one) for one in value)
    if isinstance(default, float) and isinstance(value, int | str) and not isinstance(value, bool):
        return _number(value, file, where)
    if type(value) is not type(default):
        raise ConfigError(f"{file}: {where} is a {type(default).__name__}, such as {default!r}; got {value!r}")
    return value


def _number(value: int | str, file: str, where: str) -> float:
    """YAML 1.1 takes 1e-3 for a text; nobody who writes it does."""
    try:
        return float(value)
    except ValueError:
        raise ConfigError(f"{file}: {where} is a number; got {value!r}") from None
