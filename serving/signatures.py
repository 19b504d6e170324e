"""Whether a request fits a signature, in the words of the real server."""

from collections.abc import Mapping, Sequence
from typing import Any

from serving.call import Code, RequestError, invalid

DEFAULT = "serving_default"
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
