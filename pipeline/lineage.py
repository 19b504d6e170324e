"""What ran, what it took and gave, and when: the questions that our pages and tables ask of ML Metadata."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ml_metadata.proto import metadata_store_pb2 as proto

from components.errors import InputError
from pipeline.metadata import open_store

_ARTIFACTS = "/tfx/artifacts/"


@dataclass(frozen=True)
class Step:
    """A component: how long it took when it last ran, and whether the last run took its answer from cache."""

    name: str
    seconds: float
    cached: bool


class Lineage:
    """What of ML Metadata its readers ask. Raises: InputError where `folder` is no run's, or its database is away."""

    def __init__(self, folder: Path) -> None:
        self.store, self.folder = open_store(folder), folder

    def last(self, component: str) -> Any | None:
        """The newest execution of `component` that ended well, run or cached."""
        return next(iter(self.ended(component)), None)

    def ended(self, component: str) -> list[Any]:
        """All executions of `component` that ended well, run or cached, the newest first."""
        kinds = [kind.name for kind in self.store.get_execution_types() if kind.name.split(".")[-1] == component]
        found = [e for kind in kinds for e in self.store.get_executions_by_type(kind) if self._well(e)]
        return sorted(found, key=lambda execution: execution.id, reverse=True)

    def artifacts(self, execution: int, *, inputs: bool) -> dict[str, Any]:
        """What the execution took or gave, by key."""
        event = proto.Event
        wanted = (event.INPUT, event.DECLARED_INPUT) if inputs else (event.OUTPUT, event.DECLARED_OUTPUT)
        events = [e for e in self.store.get_events_by_execution_ids([execution]) if e.type in wanted and e.path.steps]
        by_id = {artifact.id: artifact for artifact in self.store.get_artifacts_by_id([e.artifact_id for e in events])}
        return {e.path.steps[0].key: by_id[e.artifact_id] for e in events}

    def maker(self, artifact: int) -> Any:
        """The execution that made the artifact: not one that took it from cache, though that gives it out too."""
        outputs = (proto.Event.OUTPUT, proto.Event.DECLARED_OUTPUT)
        ids = [e.execution_id for e in self.store.get_events_by_artifact_ids([artifact]) if e.type in outputs]
        return min(self.store.get_executions_by_id(ids), key=lambda execution: execution.id)

    def place(self, artifact: Any) -> Path:
        """Where the artifact lies now: a run's folder may have been moved or copied since. Raises: InputError."""
        _, inside, tail = artifact.uri.rpartition(_ARTIFACTS)
        place = self.folder / inside.strip("/") / tail if inside else Path(artifact.uri)
        if not place.is_dir():
            raise InputError(f"{place} is gone, and the report needs it; run again, or give a folder that still has it")
        return place

    def steps(self, execution: int) -> tuple[Step, ...]:
        """The components of the pipeline run that the execution belongs to, in their order."""
        return tuple(self._step(one) for one in self._beside(execution))

    def findings(self, execution: int) -> list[dict[str, str]]:
        """Of the pipeline run that the execution belongs to; none where its LabelValidator's folder is gone."""
        found = [one for one in self._beside(execution) if one.type.split(".")[-1] == "LabelValidator"]
        for checks in (self.artifacts(one.id, inputs=False).get("checks") for one in found):
            file = (
                self.folder / _ARTIFACTS.strip("/") / (checks.uri.rpartition(_ARTIFACTS)[2] if checks else "") / "findings.json"
            )
            if file.is_file():
                return list(json.loads(file.read_text(encoding="utf-8")))
        return []

    def run_of(self, execution: Any) -> Any:
        """The context of the pipeline run in which it ran; the first, for a cached one belongs to its own."""
        return min(
            (c for c in self.store.get_contexts_by_execution(execution.id) if c.type == "pipeline_run"), key=lambda c: c.id
        )

    def name(self, execution: Any) -> str:
        """Of the component, as the pipeline calls it."""
        nodes = [c.name for c in self.store.get_contexts_by_execution(execution.id) if c.type == "node"]
        return nodes[0].split(".", 1)[-1] if nodes else execution.type.split(".")[-1]

    def executions(self, run: str) -> list[Any]:
        """Of the pipeline run with that id, in their order; none where it never began."""
        context = self.store.get_context_by_type_and_name("pipeline_run", run)
        return sorted(self.store.get_executions_by_context(context.id), key=lambda e: e.id) if context else []

    def cached(self, execution: Any) -> bool:
        """Whether its outputs were made before."""
        return bool(execution.last_known_state == proto.Execution.CACHED)

    def failed(self, execution: Any) -> bool:
        """Whether it did not come to its end."""
        return not self._well(execution)

    def upstream(self, execution: Any) -> list[Any]:
        """It and every execution that made something it follows from, by id: in the order in which they ran."""
        found, waiting = {execution.id: execution}, [execution]
        while waiting:
            for artifact in self.artifacts(waiting.pop().id, inputs=True).values():
                made = self.maker(artifact.id)
                if made.id not in found:
                    found[made.id] = made
                    waiting.append(made)
        return [found[number] for number in sorted(found)]

    def _beside(self, execution: int) -> list[Any]:
        """Every execution that ended well in the pipeline run that this one belongs to, in their order."""
        run = next(c for c in self.store.get_contexts_by_execution(execution) if c.type == "pipeline_run")
        found = sorted(self.store.get_executions_by_context(run.id), key=lambda one: one.id)
        return [one for one in found if self._well(one)]

    def _step(self, execution: Any) -> Step:
        cached = execution.last_known_state == proto.Execution.CACHED
        outputs = self.artifacts(execution.id, inputs=False)
        ran = self.maker(next(iter(outputs.values())).id) if cached and outputs else execution
        return Step(self.name(execution), (ran.last_update_time_since_epoch - ran.create_time_since_epoch) / 1000, cached)

    def _well(self, execution: Any) -> bool:
        return execution.last_known_state in (proto.Execution.COMPLETE, proto.Execution.CACHED)
