"""What Kubeflow Pipelines' backend does with a package, here: its driver, launcher and metadata, a task after another.

After backend/src/v2 of kubeflow/pipelines: `driver/resolve.go` (parameters, upstream artifacts), `provisionOutputs` of
`driver/driver.go` (addresses, the logs' own output), `metadata/converter.go` (an input has lost its type, and its numbers are
floats) and `component/launcher_v2.go` (placeholders, the output file). Containers are processes; the object store is not
played: steps keep their artifacts in a shared folder (kubeflow.artifacts).
"""

import json
import multiprocessing
import os
import subprocess
import sys
from collections.abc import Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2

from pipeline.progress import quiet

# Imported once and forked from, in place of a dozen containers that each import TensorFlow.
WARM = ["tensorflow", "keras", "tfx.v1", "tfx.orchestration.kubeflow.v2.container.kubeflow_v2_run_executor", "models.trainer"]


@dataclass
class Backend:
    """Runs packages; `outputs` by task and key, in RuntimeArtifact's JSON form."""

    folder: Path
    outputs: dict[str, dict[str, Any]] = field(default_factory=dict)
    said: dict[str, str] = field(default_factory=dict)
    ids: int = 0

    def run(
        self, package: Path, run_id: str, parameters: dict[str, Any], real: Set[str] = frozenset(), anew: Set[str] | None = None
    ) -> None:
        """The tasks in order: those named in `real` by their own command in a process of their own; but for those in `anew`,
        if it is given, from cache.
        """
        spec = next(yaml.safe_load_all(package.read_text()))
        json_format.ParseDict(spec, pipeline_spec_pb2.PipelineSpec())
        asked = spec["root"]["inputDefinitions"]["parameters"]
        values = {name: parameters.get(name, one["defaultValue"]) for name, one in asked.items()}
        tasks = dict(spec["root"]["dag"]["tasks"])
        while tasks:
            ready = [name for name, task in tasks.items() if not set(task.get("dependentTasks", [])) & set(tasks)]
            assert ready, "a circle"
            name, task = ready[0], tasks.pop(ready[0])
            if anew is None or name in anew:
                self._task(spec, name, task, values, run_id, name in real)

    def _task(self, spec: Any, name: str, task: Any, values: dict[str, Any], run_id: str, real: bool) -> None:
        component = spec["components"][task["componentRef"]["name"]]
        container = spec["deploymentSpec"]["executors"][component["executorLabel"]]["container"]
        root = f"{spec['defaultPipelineRoot']}/m3net/{run_id}/{name}/0f3c"
        given = {
            "inputs": self._inputs(component, task, values),
            "outputs": {
                "artifacts": _provided(component, root),
                "outputFile": str(self.folder / run_id / name / "output_metadata.json"),
            },
        }
        json_format.ParseDict(given, pipeline_spec_pb2.ExecutorInput())
        file = Path(given["outputs"]["outputFile"])
        file.parent.mkdir(parents=True)
        arguments = [one.replace("{{$}}", json.dumps(given)) for one in container["args"]]
        log = file.with_name("log")
        own = {one["name"]: one["value"] for one in container["env"]}
        code = _command([*container["command"], *arguments], log, own) if real else _forked(arguments, log, own)
        self.said[name] = log.read_text()
        assert code == 0, f"{name}: exit {code}\n{self.said[name][-3000:]}"
        self._record(name, given, json.loads(file.read_text()))

    def _inputs(self, component: Any, task: Any, values: dict[str, Any]) -> dict[str, Any]:
        parameters, artifacts = {}, {}
        declared = component.get("inputDefinitions", {})
        for key, source in task.get("inputs", {}).get("parameters", {}).items():
            assert key in declared["parameters"]
            asked = source.get("componentInputParameter")
            parameters[key] = values[asked] if asked else source["runtimeValue"]["constant"]
        for key, source in task.get("inputs", {}).get("artifacts", {}).items():
            assert key in declared["artifacts"]
            upstream = source["taskOutputArtifact"]
            assert upstream["producerTask"] in task["dependentTasks"]
            artifacts[key] = {"artifacts": [self.outputs[upstream["producerTask"]][upstream["outputArtifactKey"]]]}
        return {"parameterValues": parameters, "artifacts": artifacts}

    def _record(self, name: str, given: Any, made: Any) -> None:
        """As metadata keeps it: an id for a name, no type, numbers as floats."""
        json_format.ParseDict(made, pipeline_spec_pb2.ExecutorOutput())
        self.outputs[name] = {}
        for key, found in given["outputs"]["artifacts"].items():
            one = found["artifacts"][0]
            new = made.get("artifacts", {}).get(key, {}).get("artifacts", [{}])[0]
            assert new.get("uri", one["uri"]) == one["uri"]
            self.ids += 1
            about = {key: float(v) if isinstance(v, int) else v for key, v in new.get("metadata", {}).items()}
            self.outputs[name][key] = {"name": str(self.ids), "uri": one["uri"], "metadata": about}


def _provided(component: Any, root: str) -> dict[str, Any]:
    declared = {**component.get("outputDefinitions", {}).get("artifacts", {})}
    declared["executor-logs"] = {"artifactType": {"schemaTitle": "system.Artifact"}}
    return {
        key: {"artifacts": [{"name": key, "uri": f"{root}/{key}", "type": one["artifactType"], "metadata": {}}]}
        for key, one in declared.items()
    }


def _command(command: list[str], log: Path, own: dict[str, str]) -> int:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    with log.open("w") as file:
        environment = {**os.environ, "PATH": path, "PYTHONPATH": str(Path(__file__).parents[2]), **own}
        return subprocess.run(command, env=environment, stdout=file, stderr=file, check=False).returncode


def _forked(arguments: list[str], log: Path, own: dict[str, str]) -> int:
    quiet()  # the step says so itself, but here TensorFlow is imported before it begins
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(WARM)
    process = context.Process(target=_step, args=(arguments, log, own))
    process.start()
    process.join()
    return process.exitcode or 0


def _step(arguments: list[str], log: Path, own: dict[str, str]) -> None:
    from pipeline.step import main

    os.environ |= own
    with log.open("w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    sys.exit(main(arguments))
