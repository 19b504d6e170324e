"""The Kubeflow package: the same pipeline as a YAML file, schema 2.1.0, that Kubeflow Pipelines v2 accepts."""

import itertools
import tempfile
from importlib import metadata
from pathlib import Path
from typing import Any

import yaml

from pipeline.cluster import RELEASES, STEPS, KubeflowConfig, idle, unmounted, unseen
from pipeline.config import Config, ConfigError
from pipeline.progress import quiet

# A container whose image lacks the package says so in its log, in place of Python's own words.
_LACKS = "m3net: the image of this step holds no m3net; build it by pipeline/deploy/Dockerfile and name it in kubeflow.image"
COMMAND = (
    "sh",
    "-c",
    f"python -c 'import pipeline.step' 2>/dev/null || {{ echo '{_LACKS}' >&2; exit 78; }}; exec python -m pipeline.step \"$@\"",
    "m3net",
)
# What may be given anew for each run, and in which step and parameter it lands.
PARAMETERS = {
    "catalogue": (("CatalogueGen", "catalogue"),),
    "version": (("CatalogueGen", "version"), ("Recall", "version")),
    "epochs": (("Trainer", "epochs"),),
}


def compile_package(config: Config, file: Path) -> None:
    """Writes the package of `config` to `file`, which must end in .yaml. Nothing is run. Raises: ConfigError."""
    releases = config.release.folder or RELEASES
    kubeflow = config.kubeflow
    lines = (idle(kubeflow, STEPS, config.training.backend), unmounted(kubeflow, releases), unseen(kubeflow, config.beam.args))
    for line in itertools.chain(*lines):
        raise ConfigError(line)
    spec = _spec(config, releases, file)
    for name, task in spec["root"]["dag"]["tasks"].items():
        _equip(config.kubeflow, name, task, spec["deploymentSpec"]["executors"][f"{name}_executor"]["container"])
    _ask(spec, {"catalogue": config.data.catalogue, "version": "", "epochs": config.training.epochs})
    platform = {name: _platform(config.kubeflow, name) for name in spec["root"]["dag"]["tasks"]}
    executors = {f"{name}_executor": given for name, given in platform.items() if given}
    documents = [spec, {"platforms": {"kubernetes": {"deploymentSpec": {"executors": executors}}}}]
    _check(*documents)
    text = (
        f"# m3net {metadata.version('m3net')}, for Kubeflow Pipelines v2\n{yaml.safe_dump_all(documents, allow_unicode=True)}"
    )
    partial = file.with_suffix(".partial")  # a schedule may read the file meanwhile
    partial.write_text(text, encoding="utf-8")
    partial.rename(file)


def _spec(config: Config, releases: str, file: Path) -> Any:
    """TFX's own pipeline spec."""
    quiet()
    from tfx.orchestration.kubeflow.v2 import kubeflow_v2_dag_runner

    from pipeline.create import create_pipeline

    root = config.kubeflow.pipeline_root
    pipeline = create_pipeline(config, root=root, releases=releases, memory=f"{releases}/.memory")
    options = kubeflow_v2_dag_runner.KubeflowV2DagRunnerConfig(
        default_image=config.kubeflow.image,
        default_commands=list(COMMAND),
        use_pipeline_spec_2_1=True,  # the open-source API server takes no other; 2.0 is Vertex's
        display_name=pipeline.pipeline_info.pipeline_name,
    )
    file.parent.mkdir(parents=True, exist_ok=True)
    runner = kubeflow_v2_dag_runner.KubeflowV2DagRunner(options, str(file.parent), file.name)
    # Written here, too, since the `tfx` command takes the file from where it tells the runner to write.
    spec = runner.run(pipeline, write_out=True)["pipelineSpec"]
    return {**spec, "defaultPipelineRoot": root}


def _equip(config: KubeflowConfig, name: str, task: dict[str, Any], container: dict[str, Any]) -> None:
    """Image, arguments of pipeline.step, CPU, memory, GPUs and retries of the step `name`."""
    given = config.of(name)
    container["image"] = given.image or config.image
    container["env"] = [{"name": "M3NET_LOG_FORMAT", "value": config.log_format}]
    own = ["--step", name, "--compiled_by", metadata.version("m3net")]
    container["args"] = [*own, *(["--artifacts", config.artifacts] if config.artifacts else []), *container["args"]]
    resources: dict[str, Any] = {"cpuLimit": given.cpu, "memoryLimit": given.memory}
    if given.gpus:
        resources["accelerator"] = {"type": given.gpu, "count": str(given.gpus)}
    if wanted := {key: value for key, value in resources.items() if value}:
        container["resources"] = wanted
    if given.retries:
        task["retryPolicy"] = {"maxRetryCount": given.retries, "backoffDuration": "60s", "backoffFactor": 2.0}


def _ask(spec: dict[str, Any], defaults: dict[str, Any]) -> None:
    """Makes `PARAMETERS` a run's own, with defaults, which TFX's RuntimeParameter would lose."""
    tasks, asked = spec["root"]["dag"]["tasks"], {}
    for name, default in defaults.items():
        for step, parameter in PARAMETERS[name]:
            if step not in tasks:
                continue
            kind = {"parameterType": "NUMBER_INTEGER" if isinstance(default, int) else "STRING"}
            asked[name] = {**kind, "defaultValue": default}
            inputs = spec["components"][step].setdefault("inputDefinitions", {}).setdefault("parameters", {})
            inputs[parameter] = kind
            tasks[step].setdefault("inputs", {}).setdefault("parameters", {})[parameter] = {"componentInputParameter": name}
    spec["root"]["inputDefinitions"] = {"parameters": asked}


def _platform(config: KubeflowConfig, name: str) -> dict[str, Any]:
    """What Kubernetes alone knows: volumes, secrets, nodes, the time a step may take."""
    given = config.of(name)
    found = {
        "pvcMount": [{"mountPath": path, **_constant("pvcNameParameter", claim)} for claim, path in config.volumes.items()],
        "secretAsEnv": [_secret(secret, keys) for secret, keys in config.secrets.items()],
        "nodeSelector": {"labels": {key: str(value) for key, value in given.node_selector.items()}}
        if given.node_selector
        else {},
        "tolerations": given.tolerations,
        "activeDeadlineSeconds": str(round(given.timeout * 3600)) if given.timeout else "",
    }
    return {key: value for key, value in found.items() if value}


def _secret(name: str, keys: dict[str, str]) -> dict[str, Any]:
    pairs = [{"secretKey": key, "envVar": variable} for key, variable in keys.items()]
    return {"keyToEnv": pairs, **_constant("secretNameParameter", name)}


def _constant(key: str, value: str) -> dict[str, Any]:
    return {key: {"runtimeValue": {"constant": value}}}


def _check(spec: dict[str, Any], platform: dict[str, Any]) -> None:
    """As the API server reads them: every field must be known, and nothing be lost on the way."""
    from google.protobuf import json_format
    from kfp.pipeline_spec import pipeline_spec_pb2

    for document, message in ((spec, pipeline_spec_pb2.PipelineSpec()), (platform, pipeline_spec_pb2.PlatformSpec())):
        json_format.ParseDict(document, message)
    deployment = pipeline_spec_pb2.PipelineDeploymentConfig()
    json_format.ParseDict(spec["deploymentSpec"], deployment)  # the spec holds it as a free form


def as_package(path: Path) -> Path:
    """`path`, if Kubeflow would take a file of that name. Raises: ConfigError."""
    if path.suffix != ".yaml":
        raise ConfigError(f"--output {path}: Kubeflow takes a file that ends in .yaml")
    if path.is_dir():
        raise ConfigError(f"--output {path}: is a folder; give a file in it")
    there = next(one for one in path.resolve().parents if one.exists())
    try:
        tempfile.TemporaryFile(dir=there).close()
    except OSError as error:
        raise ConfigError(f"--output {path}: cannot be written ({error.strerror})") from None
    return path.resolve()
