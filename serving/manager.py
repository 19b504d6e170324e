"""Which versions of which models are loaded: loads the new beside the old, then lets the old finish and go.

The states and policies are TF Serving's. A version answers once it is verified, loaded and warmed; a request holds the
version it found until it is answered, so that none is unloaded under it.
"""

import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from serving.call import Code, RequestError, invalid
from serving.policy import ModelConfig, RequestLogging, configs_of
from serving.protos import get_model_status_pb2
from serving.release import versions
from serving.remote import NotYetError
from serving.servable import Servable

Status = get_model_status_pb2.ModelVersionStatus
WAIT_SECONDS = 5.0  # for an embedder that does not serve a version yet
RETRIES, RETRY_SECONDS = 5, 60.0  # TF Serving's max_num_load_retries and load_retry_interval_micros


@dataclass
class _Version:
    """What is known of one version; `users` requests are being answered by it."""

    state: int = Status.START
    error: str = ""
    servable: Servable | None = None
    users: int = 0
    failures: int = 0
    retry_at: float = 0.0  # time.monotonic


@dataclass
class _Model:
    config: ModelConfig
    versions: dict[int, _Version] = field(default_factory=dict)

    def available(self) -> list[int]:
        """Ascending."""
        return sorted(number for number, version in self.versions.items() if version.state == Status.AVAILABLE)


class Manager:
    """Models by name. `load(name, folder)` makes a servable; `say` hears of every version that became available."""

    def __init__(
        self,
        configs: Mapping[str, ModelConfig],
        load: Callable[[str, Path], Servable],
        say: Callable[[str, int], None] = lambda *_: None,
    ) -> None:
        self._load, self._say = load, say
        self._models = {name: _Model(config) for name, config in configs.items()}
        self._lock = threading.Condition()  # over everything below `_models`; never held while a model loads
        self._refreshing = threading.Lock()

    @contextmanager
    def use(self, spec: Any) -> Iterator[Servable]:
        """The servable that a ModelSpec asks for, held while it is used. Raises: RequestError."""
        with self._lock:
            version = self._find(spec)
            version.users += 1
        try:
            assert version.servable is not None
            yield version.servable
        finally:
            with self._lock:
                version.users -= 1
                self._lock.notify_all()

    def _find(self, spec: Any) -> _Version:
        """Source: ServerCore::ServableRequestFromModelSpec and BasicManager, in TF Serving's model_servers and core."""
        if not spec.name:
            raise invalid("ModelSpec has no name specified.")
        model, choice = self._models.get(spec.name), spec.WhichOneof("version_choice")
        number: int | None = spec.version.value if choice == "version" else None
        if choice == "version_label":
            if model is None or spec.version_label not in model.config.labels:
                raise invalid(f"Unrecognized servable version label: {spec.version_label}")
            number = model.config.labels[spec.version_label]
        asked = f"Latest({spec.name})" if number is None else f"Specific({spec.name}, {number})"
        available = model.available() if model else []
        if model is None or not available or (number is not None and number not in available):
            raise RequestError(Code.NOT_FOUND, f"Servable not found for request: {asked}")
        return model.versions[available[-1] if number is None else number]

    def states(self, spec: Any) -> list[tuple[int, int, str]]:
        """Version, state and error of those a ModelSpec names, the newest first. Source: get_model_status_impl.cc."""
        with self._lock:
            known = self._models[spec.name].versions if spec.name in self._models else {}
            if spec.WhichOneof("version_choice") == "version":
                number = spec.version.value
                if number not in known:
                    raise RequestError(Code.NOT_FOUND, f"Could not find version {number} of model {spec.name}")
                known = {number: known[number]}
            if not known:
                raise RequestError(Code.NOT_FOUND, f"Could not find any versions of model {spec.name}")
            return [(number, known[number].state, known[number].error) for number in sorted(known, reverse=True)]

    def ready(self) -> dict[str, bool]:
        """For every model, whether a version of it answers."""
        with self._lock:
            return {name: bool(model.available()) for name, model in self._models.items()}

    def logging(self, name: str) -> RequestLogging | None:
        """What of a model's requests is to be logged."""
        with self._lock:
            return self._models[name].config.logging if name in self._models else None

    def waiting(self) -> dict[str, int]:
        """For every model, the rows that wait in its queues."""
        with self._lock:
            loaded = {name: [v.servable for v in model.versions.values() if v.servable] for name, model in self._models.items()}
        return {name: sum(servable.waiting() for servable in servables) for name, servables in loaded.items()}

    def refresh(self) -> None:
        """Brings every model to the versions that its folder and policy ask for; returns when that is done."""
        with self._refreshing:
            for name, model in list(self._models.items()):
                self._refresh(name, model)

    def reload(self, config: Any) -> None:
        """HandleReloadConfigRequest. Raises: RequestError; what was served before is served on then."""
        configs = configs_of(config)
        with self._refreshing:
            before = self._models
            after = {name: _Model(one, before[name].versions if name in before else {}) for name, one in configs.items()}
            for name in set(before) & set(after):
                if before[name].config.base_path != after[name].config.base_path:
                    after[name].versions = {}  # another folder's version 1 is another version 1
            for name, model in after.items():
                self._refresh(name, model)
            try:
                self._check(after)
            except RequestError:
                self._drop(after, before)
                raise
            with self._lock:
                self._models = after
            self._drop(before, after)

    def _drop(self, models: Mapping[str, _Model], kept: Mapping[str, _Model]) -> None:
        """Unloads those of `models` that are not in `kept`."""
        for name, model in models.items():
            if name not in kept or kept[name].versions is not model.versions:
                for number in model.available():
                    self._unload(model, number)

    def _check(self, models: Mapping[str, _Model]) -> None:
        for name, model in models.items():
            if not (available := model.available()):
                errors = [f"{name}: {version.error}" for version in model.versions.values() if version.error]
                reason = "; ".join(errors) or f"{name}: no version in {model.config.base_path}"
                raise RequestError(Code.UNKNOWN, f"1 model(s) did not become available: {{{reason}}}")
            for number in model.config.labels.values():
                if number not in available:
                    message = f"Request to assign label to version {number} of model {name}, which is not currently available for inference"
                    raise RequestError(Code.FAILED_PRECONDITION, message)

    def close(self) -> None:
        """Unloads all, each after the requests it is answering."""
        with self._refreshing:
            self._drop(self._models, {})

    def _refresh(self, name: str, model: _Model) -> None:
        try:
            there = versions(model.config.base_path)
        except OSError:
            return  # the folder is away, as a network's share can be for a while: what is loaded goes on answering
        while True:
            usable = [number for number in there if not _given_up(model.versions.get(number))]
            aspired = model.config.policy.choose(usable)
            missing = [number for number in aspired if number not in model.available()]
            if not missing:
                break
            # The newest first; one that fails is left out of the next choice, so that an older one may take its place.
            self._load_one(name, model, missing[-1])
        # Old ones go only once a new one answers. An emptied folder takes nothing away.
        for number in set(model.available()) - set(aspired) if aspired else ():
            self._unload(model, number)

    def _load_one(self, name: str, model: _Model, number: int) -> None:
        version = model.versions.get(number) or _Version()
        with self._lock:
            version.state = Status.LOADING
            model.versions[number] = version
        try:
            servable = self._load(name, model.config.base_path / str(number))
        except NotYetError as error:
            with self._lock:
                told, version.state, version.error = version.error, Status.START, str(error)
                version.retry_at = time.monotonic() + WAIT_SECONDS
            if told != version.error:
                print(f"version {number} waits: {error}", file=sys.stderr, flush=True)
            return
        except Exception as error:  # whatever is wrong with it, the former release goes on answering
            reason = " ".join(str(error).split()) or repr(error)
            with self._lock:
                version.state, version.error = Status.END, reason
                version.failures += 1
                version.retry_at = time.monotonic() + RETRY_SECONDS
            print(f"version {number} refused: {reason}", file=sys.stderr, flush=True)
            return
        with self._lock:
            version.state, version.error, version.servable, version.failures = Status.AVAILABLE, "", servable, 0
        self._say(name, number)

    def _unload(self, model: _Model, number: int) -> None:
        version = model.versions[number]
        with self._lock:
            version.state = Status.UNLOADING  # nobody finds it from here on
            self._lock.wait_for(lambda: version.users == 0)
            servable, version.servable, version.state = version.servable, None, Status.END
        if servable is not None:
            servable.close()


def _given_up(version: _Version | None) -> bool:
    """Whether it could not be loaded and is not to be tried now."""
    if version is None or version.state == Status.AVAILABLE:
        return False
    return version.failures > RETRIES or time.monotonic() < version.retry_at
