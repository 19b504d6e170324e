"""TensorFlow Serving's gRPC services: who waits, what went wrong and how long it took; the answers are `calls`'."""

import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from serving.call import Call, Code, RequestError
from serving.calls import Calls
from serving.metrics import Metrics

_Method = Callable[[Any, Any, Any], Any]


def _served(api: str, ask: Callable[[Calls, Any, Call], Any]) -> _Method:
    """One method of a servicer."""

    def method(self: "_Service", request: Any, context: Any) -> Any:
        started, status = time.perf_counter(), "OK"
        try:
            return ask(self.calls, request, Call(_seconds(context), context.add_callback))
        except RequestError as error:
            status = error.code.name
            context.abort(error.code, str(error))
        except Exception as error:  # a defect, or memory that ran out: the client gets a line, the log the kind
            status = Code.INTERNAL.name
            print(f"request failed: {error!r}", file=sys.stderr, flush=True)
            context.abort(Code.INTERNAL, "the server failed on this request; its log says why")
        finally:
            seconds = time.perf_counter() - started
            self.metrics.request(_model(request), api, "GRPC", status, seconds)

    return method


def _seconds(context: Any) -> float | None:
    """Until the caller's deadline. Without one gRPC gives the time to the end of its clock, more than a lock can wait."""
    left = context.time_remaining()
    return left if left is not None and left < threading.TIMEOUT_MAX else None


def _model(request: Any) -> str:
    if hasattr(request, "model_spec"):
        return str(request.model_spec.name)
    return str(request.tasks[0].model_spec.name) if getattr(request, "tasks", None) else ""


class _Service:
    def __init__(self, calls: Calls, metrics: Metrics) -> None:
        self.calls, self.metrics = calls, metrics


# Not subclasses of the generated bases: those raise on what is missing, and here nothing is.
class PredictionService(_Service):
    """Predict and its kin, under the protocol's names."""

    Predict = _served("Predict", Calls.predict)
    GetModelMetadata = _served("GetModelMetadata", Calls.metadata)
    Classify = _served("Classify", Calls.classify)
    Regress = _served("Regress", Calls.regress)
    MultiInference = _served("MultiInference", Calls.multi_inference)


class ModelService(_Service):
    """Which versions there are, and which there shall be."""

    GetModelStatus = _served("GetModelStatus", Calls.status)
    HandleReloadConfigRequest = _served("HandleReloadConfigRequest", Calls.reload)
