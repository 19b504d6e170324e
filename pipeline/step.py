"""What a container of the Kubeflow package runs: one TFX step, between Kubeflow's words and TFX's.

TFX's own entry point, called here, was written for Vertex. Under Kubeflow Pipelines v2 it would fail four times over:
artifacts of minio:// and s3:// lie where Kubeflow's launcher has put them, and it knows no such path; what an input is
stands in the step's declaration alone; Kubeflow adds outputs of its own; and types of ours are none of TFX's.
"""

import argparse
import json
import os
import sys
import tempfile
import traceback
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from components.errors import InputError
from models.backend import choose
from pipeline.progress import quiet
from serving import logs

ABSENT = "absent"  # as components.memory.executor marks what is not there
_SCHEMES = ("minio", "s3", "gs")
_LOCAL = {"gs": "gcs"}  # the launcher's folder for a scheme, where it is another word


def localised(uri: str, artifacts: str = "") -> str:
    """Where the launcher puts, and looks for, what lies at `uri`; below the folder `artifacts` if that is given."""
    scheme, sign, rest = uri.partition("://")
    if not sign or scheme not in _SCHEMES:
        return uri
    return f"{artifacts.rstrip('/')}/{rest}" if artifacts else f"/{_LOCAL.get(scheme, scheme)}/{rest}"


def prepared(given: dict[str, Any], declared: dict[str, Any], artifacts: str = "") -> dict[str, Any]:
    """The ExecutorInput that TFX can use, of the one that Kubeflow gives.

    Args:
        given: in JSON's form. declared: the step's inputs, ComponentInputsSpec in JSON's form.
        artifacts: a folder that all steps share, where artifacts stay.
    """
    made: dict[str, Any] = json.loads(json.dumps(given))
    inputs = made.get("inputs", {}).get("artifacts", {})
    for name, one in _each(made, "inputs"):
        one.setdefault("type", declared.get("artifacts", {}).get(name, {}).get("artifactType", {}))
        if one.get("metadata", {}).get(ABSENT):
            inputs.pop(name, None)
    outputs = made.get("outputs", {}).get("artifacts", {})
    for name, one in _each(made, "outputs"):
        if one.get("type", {}).get("schemaTitle", "").startswith("system."):
            del outputs[name]  # the launcher's own, such as the logs
    for side in ("inputs", "outputs"):
        for _, one in _each(made, side):
            one["uri"] = localised(one["uri"], artifacts)
    _epochs(made.get("inputs", {}).get("parameterValues", {}))
    return made


def _each(given: dict[str, Any], side: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, found in list(given.get(side, {}).get("artifacts", {}).items()):
        yield from ((name, one) for one in found.get("artifacts", []))


def _epochs(parameters: dict[str, Any]) -> None:
    """A run's own number of epochs goes where the Trainer reads it."""
    if "epochs" in parameters:
        custom = json.loads(parameters["custom_config"])
        custom["training"]["epochs"] = int(parameters.pop("epochs"))
        parameters["custom_config"] = json.dumps(custom)


def returned(made: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """The ExecutorOutput for Kubeflow, of TFX's: artifacts named and placed as `given`, the ExecutorInput, has them."""
    asked = dict(_each(given, "outputs"))
    for name, found in made.get("artifacts", {}).items():
        for one in found.get("artifacts", []):
            one["uri"] = asked[name]["uri"]
            one["name"] = asked[name].get("name", "")
    return made


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the step. Returns: 0; 2 for what a user can mend, with one line on stderr; 1 for what else ends it, as a JSON line.

    M3NET_LOG_FORMAT=json makes every line on stdout and stderr JSON, with the run and the step. Raises: what else ends it, as text.
    """
    quiet()  # as a local run, whose numbers a step so has to the last bit
    parser = argparse.ArgumentParser(prog="pipeline.step", allow_abbrev=False)
    parser.add_argument("--step", required=True)
    parser.add_argument("--compiled_by", required=True)
    parser.add_argument("--artifacts", default="")
    parser.add_argument("--executor_class_path", required=True)
    parser.add_argument("--json_serialized_invocation_args", required=True)
    parser.add_argument("--json_serialized_inputs_spec_args", default="{}")
    arguments, beam = parser.parse_known_args(argv)
    if not logs.chosen(None):
        return _explained(arguments, beam)
    with logs.structured(stdout=True):
        logs.FIELDS.update(run=_run_id(arguments), component=arguments.step)
        try:
            return _explained(arguments, beam)
        finally:
            logs.FIELDS.clear()


def _explained(arguments: argparse.Namespace, beam: list[str]) -> int:
    if (here := metadata.version("m3net")) != arguments.compiled_by:
        print(f"m3net {arguments.step}: the package is of m3net {arguments.compiled_by}, the image of {here}; "
              "compile it anew, or name an image of that version in kubeflow.image", file=sys.stderr)  # fmt: skip
        return 2
    try:
        _run(arguments, beam)
    except Exception as error:
        from pipeline.verbs import mendable

        line = f"m3net {arguments.step}: {' '.join(str(error).split())}"
        if mendable(error):
            print(line, file=sys.stderr)
            return 2
        if not isinstance(sys.stderr, logs.JsonLines):
            raise
        sys.stderr.say(line, exception=traceback.format_exc())
        return 1
    return 0


def _run_id(arguments: argparse.Namespace) -> str:
    """Of Kubeflow's run: it stands in what is made, <root>/<pipeline>/<run>/<step>/..., and asked for as a parameter it would
    make every step run anew."""
    given = json.loads(arguments.json_serialized_invocation_args)
    uris = [one["uri"] for _, one in _each(given, "outputs")]
    return uris[0].partition(f"/{arguments.step}/")[0].rpartition("/")[2] if uris else ""


def _run(arguments: argparse.Namespace, beam: list[str]) -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    given = json.loads(arguments.json_serialized_invocation_args)
    made = prepared(given, json.loads(arguments.json_serialized_inputs_spec_args), arguments.artifacts)
    if arguments.step == "Trainer":
        choose(json.loads(made["inputs"]["parameterValues"]["custom_config"])["training"]["backend"])
    for _, one in _each(made, "outputs"):
        _writable(Path(one["uri"]).parent)

    from tfx.orchestration.kubeflow.v2 import compiler_utils
    from tfx.orchestration.kubeflow.v2.container import kubeflow_v2_run_executor

    from components import artifacts

    own = (artifacts.LabelChecks, artifacts.Embeddings, artifacts.Evaluation, artifacts.Index)
    compiler_utils.TITLE_TO_CLASS_PATH.update({one.TYPE_NAME: f"{one.__module__}.{one.__name__}" for one in own})
    handed = argparse.Namespace(**{**vars(arguments), "json_serialized_invocation_args": json.dumps(made)})
    kubeflow_v2_run_executor.main((handed, beam))
    file = Path(given["outputs"]["outputFile"])
    file.write_text(json.dumps(returned(json.loads(file.read_text()), given)))


def _writable(folder: Path) -> None:
    """Makes `folder`. Raises: InputError where the volume lets nobody write there: TFX says that late and in a traceback."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        who = f"the volume must let user {os.getuid()} write, by fsGroup or its class"
        raise InputError(f"{folder} cannot be written ({error.strerror}): {who}") from None


if __name__ == "__main__":
    sys.exit(main())
