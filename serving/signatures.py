"""Whether a request fits a signature, in the words of the real server."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from serving.call import Code, RequestError, invalid
from serving.release import ReleaseError
from serving.tensors import DTYPES

DEFAULT = "serving_default"
MOST_ROWS = 1024  # of one request
Definitions = Mapping[str, Any]


def find_signature(definitions: Definitions, name: str) -> Any:
    """The signature that Predict asks for. Raises: RequestError."""
    if name not in definitions or not definitions[name].method_name:
        raise RequestError(Code.FAILED_PRECONDITION, f'Serving signature key "{name}" not found.')
    return definitions[name]


def check_names(given: set[str], expected: set[str]) -> None:
    """Source: VerifyRequestInputsSize in servables/tensorflow/predict_util.cc. Raises: RequestError."""
    if given != expected:
        sent, needed, extra, missing = (
            ",".join(sorted(names)) for names in (given, expected, given - expected, expected - given)
        )
        raise invalid(
            f"input size does not match signature: {len(given)}!={len(expected)} len({{{sent}}}) != len({{{needed}}}). "
            f"Sent extra: {{{extra}}}. Missing but required: {{{missing}}}."
        )


def check_array(name: str, array: np.ndarray, dtype: np.dtype[Any], shape: tuple[int | None, ...]) -> None:
    """One input; strings are of dtype object, `None` in a shape is any size. Raises: RequestError."""
    fits = len(shape) == array.ndim and all(size in (None, there) for size, there in zip(shape, array.shape, strict=False))
    if array.dtype != dtype or not fits:
        raise invalid(
            f'input "{name}" must be {_kind(dtype)} of shape {_shape(shape)}; '
            f"got {_kind(array.dtype)} of shape {_shape(array.shape)}"
        )


def check_rows(inputs: Mapping[str, np.ndarray]) -> None:
    """That all are one batch, and none too large. Raises: RequestError."""
    counts = {name: len(array) for name, array in sorted(inputs.items()) if array.ndim}
    if len(set(counts.values())) > 1:
        told = ", ".join(f"{name} {count}" for name, count in counts.items())
        raise invalid(f"the inputs of one request hold one batch; got {told}")
    if (rows := max(counts.values(), default=0)) > MOST_ROWS:
        raise invalid(f"a request of {rows:,} rows is too large; send at most {MOST_ROWS:,} at once")


def _kind(dtype: np.dtype[Any]) -> str:
    return "string" if dtype.kind == "O" else dtype.name


def _shape(sizes: Sequence[int | None]) -> str:
    return f"({', '.join('B' if size is None else str(size) for size in sizes)})"


def check_attributes(given: np.ndarray, names: Sequence[str]) -> None:
    """Attribute names as bytes (B,) are among `names`. Raises: RequestError."""
    if unknown := sorted(set(given.tolist()) - {name.encode() for name in names}):
        raise invalid(f'unknown attribute "{unknown[0].decode(errors="replace")}"; there are: {", ".join(names)}')


def check_outputs(output_filter: Sequence[str], known: Sequence[str]) -> None:
    """Source: PreProcessPrediction in servables/tensorflow/predict_util.cc. Raises: RequestError."""
    for place, name in enumerate(output_filter):
        if name not in known:
            expected = ",".join(known)
            raise invalid(
                f"output tensor alias not found in signature: {name} Outputs expected to be in the set {{{expected}}}."
            )
        if name in output_filter[:place]:
            raise invalid(f"duplicate output tensor alias: {name}")


def kind_of(info: Any) -> tuple[np.dtype[Any], tuple[int | None, ...]]:
    """The dtype and shape that a TensorInfo asks for, as `check_array` takes them. Raises: ReleaseError for others."""
    if info.dtype not in DTYPES:
        raise ReleaseError(f"{info.name}: tensors of type {info.dtype} cannot be served; export the model without them")
    return np.dtype(DTYPES[info.dtype]), tuple(None if dim.size < 0 else dim.size for dim in info.tensor_shape.dim)


def has_batch_axis(defined: Any) -> bool:
    """Whether requests can be run side by side: every input and output has a first axis of any length."""
    infos = [*defined.inputs.values(), *defined.outputs.values()]
    return bool(defined.inputs) and all(
        not info.tensor_shape.unknown_rank and info.tensor_shape.dim and info.tensor_shape.dim[0].size < 0 for info in infos
    )


def check_classification(definitions: Definitions, name: str) -> None:
    """Refuses what Classify would ask of a release, whose signatures all are for Predict.

    Source: PreProcessClassification in servables/tensorflow/classifier.cc. Raises: RequestError, always.
    """
    defined = _named(definitions, name)
    if len(defined.inputs) != 1:
        raise invalid("Expected one input Tensor.")
    if len(defined.outputs) not in (1, 2):
        raise invalid(f"Expected one or two output Tensors, found {len(defined.outputs)}")
    raise invalid(f"No classification inputs found in SignatureDef: {defined}")


def check_regression(definitions: Definitions, name: str) -> None:
    """As `check_classification`, for Regress. Source: PreProcessRegression in servables/tensorflow/regressor.cc."""
    defined = _named(definitions, name)
    if len(defined.inputs) != 1:
        raise invalid("Expected one input Tensor.")
    if len(defined.outputs) != 1:
        raise invalid("Expected one output Tensor.")
    raise invalid(f"No regression inputs found in SignatureDef: {defined}")


def _named(definitions: Definitions, name: str) -> Any:
    if (name or DEFAULT) not in definitions:
        raise invalid(f"No signature was found with the name: {name or DEFAULT}")
    return definitions[name or DEFAULT]
