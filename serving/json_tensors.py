"""JSON to a PredictRequest and a PredictResponse to JSON, in row (`instances`) and column (`inputs`) form.

Source of rules and words: TF Serving's util/json_tensor.cc. Binary is `{"b64": "..."}`.
"""

import base64
import binascii
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from serving.call import Code, RequestError, invalid
from serving.protos import predict_pb2, types_pb2
from serving.tensors import from_proto, to_proto

_SHOWN = 256  # characters of a JSON value in a message, as in the real server
_DTYPES = {types_pb2.DT_FLOAT: "float32", types_pb2.DT_INT32: "int32", types_pb2.DT_INT64: "int64"}
_NAMES = {types_pb2.DT_FLOAT: "float", types_pb2.DT_INT32: "int32", types_pb2.DT_INT64: "int64", types_pb2.DT_STRING: "string"}
_KINDS = {dict: "Object", list: "Array", str: "String", bool: "Bool", int: "Number", float: "Number", type(None): "Null"}
Infos = Mapping[str, Any]  # input name: TensorInfo


def parse(body: bytes) -> dict[str, Any]:
    """The JSON object of a request. Raises: RequestError."""
    if not body:
        raise invalid("JSON Parse error: The document is empty")
    try:
        document = json.loads(body.decode("utf-8-sig"))
        if b"\\u" in body:
            _dump(document)  # half a surrogate pair, which only an escape can bring, is text that no answer or message can hold
    except json.JSONDecodeError as error:
        raise invalid(f"JSON Parse error: {error.msg} at offset: {error.pos}") from None
    except UnicodeDecodeError as error:
        raise invalid(f"JSON Parse error: not UTF-8 at offset: {error.start}") from None
    except UnicodeEncodeError:
        raise invalid("JSON Parse error: The surrogate pair in string is invalid.") from None
    except ValueError:  # Python's own limit, a defence: the time to read a number grows with the square of its length
        raise invalid(f"JSON Parse error: an integer of more than {sys.get_int_max_str_digits():,} digits") from None
    except RecursionError:
        raise invalid("JSON Parse error: nested too deeply") from None
    if not isinstance(document, dict):
        raise _wrong(document, "Is not object")
    return document


def to_request(document: dict[str, Any], definition_of: Callable[[str], Any]) -> tuple[Any, bool]:
    """The PredictRequest without its model, and whether it came in row form.

    `definition_of` gives a SignatureDef and raises RequestError where there is none. An input with a default may be left
    out of columns. Raises: RequestError.
    """
    name = document.get("signature_name", "")
    if not isinstance(name, str):
        raise _wrong(document, "not formatted correctly. 'signature_name' key must be a string value.")
    definition = definition_of(name)
    infos: Infos = definition.inputs
    request = predict_pb2.PredictRequest()
    request.model_spec.signature_name = name
    rows = "instances" in document
    if rows and "inputs" in document:
        words = "Not formatted correctly expecting only one of 'inputs' or 'instances' keys to exist "
        raise _wrong(document, words)
    if not rows and "inputs" not in document:
        raise invalid("Missing 'inputs' or 'instances' key")
    values = _of_rows(document, infos) if rows else _of_columns(document["inputs"], infos, set(definition.defaults))
    for key, value in values.items():
        request.inputs[key].CopyFrom(to_proto(_array(value, infos[key].dtype)))
    return request, rows


def output_filter(document: dict[str, Any]) -> list[str]:
    """The outputs wanted, none = all of the contract's. The real server's JSON has no such key. Raises: RequestError."""
    names = document.get("output_filter", [])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise _wrong(document, "not formatted correctly. 'output_filter' key must be a list of strings.")
    return names


def to_json(response: Any, rows: bool) -> bytes:
    """The answer's body: `predictions` where the request came in rows, else `outputs`. Raises: RequestError."""
    arrays = {name: from_proto(proto) for name, proto in sorted(response.outputs.items())}
    values = {name: _plain(array.tolist()) for name, array in arrays.items()}
    if not rows:
        return _dump({"outputs": values if len(values) > 1 else next(iter(values.values()))})
    counts = {name: len(array) if array.ndim else None for name, array in arrays.items()}
    for name, count in counts.items():
        if count is None:
            raise invalid(f"Tensor name: {name} has no shape information ")
        if count != next(iter(counts.values())):
            first = next(iter(counts.values()))
            raise invalid(f"Tensor name: {name} has inconsistent batch size: {count} expecting: {first}")
    if len(values) == 1:
        return _dump({"predictions": next(iter(values.values()))})
    return _dump({"predictions": [dict(zip(values, row, strict=True)) for row in zip(*values.values(), strict=True)]})


def _of_rows(document: dict[str, Any], infos: Infos) -> dict[str, list[Any]]:
    instances = document["instances"]
    if not isinstance(instances, list):
        raise _wrong(document, "Expecting 'instances' to be an list/array")
    if not instances:
        raise _wrong(document, "No values in 'instances' array")
    objects = _is_object(instances[0])
    if not objects and len(infos) > 1:
        needed = "expecting list of objects as multiple input tensors required as per tensorinfo_map"
        raise invalid(f"instances is a plain list, but {needed}")
    for place, one in enumerate(instances):
        if objects != _is_object(one):
            words = "object but got list" if objects else "value/list but got object"
            raise invalid(f"Expecting {words} at item {place} of input list")
        if objects and set(one) != set(infos):
            keys = f"JSON object: {_shown(one)} keys must be equal to: {','.join(sorted(infos))}"
            raise invalid(f"Failed to process element: {place} of 'instances' list. {keys}")
    if not objects:
        return {next(iter(infos)): instances}
    return {name: [one[name] for one in instances] for name in infos}


def _of_columns(inputs: Any, infos: Infos, optional: set[str]) -> dict[str, Any]:
    if _is_object(inputs):
        for name in infos:
            if name not in inputs and name not in optional:
                raise invalid(f"Missing named input: {name} in 'inputs' object.")
        return {name: inputs[name] for name in infos if name in inputs}
    if len(infos) > 1:
        needed = "expecting an object as multiple input tensors required as per tensorinfo_map"
        raise invalid(f"inputs is a plain value/list, but {needed}")
    return {next(iter(infos)): inputs}


def _array(value: Any, dtype: int) -> np.ndarray:
    shape = _shape(value)
    flat: list[Any] = []
    _flatten(value, shape, 0, dtype, flat)
    array = np.empty(len(flat), object) if dtype == types_pb2.DT_STRING else np.empty(len(flat), _DTYPES[dtype])
    array[:] = flat
    return array.reshape(shape)


def _shape(value: Any) -> list[int]:
    shape = []
    while isinstance(value, list):
        shape.append(len(value))
        value = value[0] if value else None
    return shape


def _flatten(value: Any, shape: Sequence[int], level: int, dtype: int, flat: list[Any]) -> None:
    """Source: FillTensorProto."""
    if not isinstance(value, list):
        if level != len(shape):
            raise _wrong(value, f"found at incorrect level: {level + 1} in the JSON DOM. Expected at level: {len(shape)}")
        flat.append(_scalar(value, dtype))
        return
    if level >= len(shape):
        raise invalid(f"Encountered list at unexpected level: {level} expected < {len(shape)}")
    if len(value) != shape[level]:
        raise invalid(f"Encountered list at unexpected size: {len(value)} at level: {level} expected size: {shape[level]}")
    for one in value:
        _flatten(one, shape, level + 1, dtype, flat)


def _scalar(value: Any, dtype: int) -> Any:
    if dtype not in _NAMES:
        raise RequestError(Code.UNIMPLEMENTED, f"Conversion of JSON Value: {_shown(value)} to type: {dtype}")
    if dtype == types_pb2.DT_STRING:
        if isinstance(value, dict):
            return _decoded(value)
        if isinstance(value, str):
            return value.encode()
    number = isinstance(value, int) and not isinstance(value, bool)
    if dtype == types_pb2.DT_FLOAT and (number or isinstance(value, float)):
        return float(value) if abs(value) < 2**128 or isinstance(value, float) else float("inf")
    bits = {types_pb2.DT_INT32: 31, types_pb2.DT_INT64: 63}.get(dtype, 0)
    if bits and number and -(2**bits) <= value < 2**bits:
        return value
    kind = _KINDS[type(value)]
    raise _wrong(value, f"Type: {kind} is not of expected type: {_NAMES[dtype]}")


def _decoded(value: dict[str, Any]) -> bytes:
    if set(value) != {"b64"} or not isinstance(value["b64"], str):
        raise _wrong(value, "not formatted correctly for base64 data")
    text = "".join(value["b64"].split()).rstrip("=")
    try:  # the real server takes either alphabet's standard form, padded or not
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise invalid("Unable to base64 decode") from None


def _is_object(value: Any) -> bool:
    return isinstance(value, dict) and not (set(value) == {"b64"} and isinstance(value["b64"], str))


def _plain(value: Any) -> Any:
    """Bytes as text, at any depth. Raises: RequestError where they are none."""
    if isinstance(value, list):
        return [_plain(one) for one in value] if value and isinstance(value[0], list | bytes) else value
    if not isinstance(value, bytes):
        return value
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise invalid("Failed to write JSON value for tensor type: string") from None


def _dump(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _shown(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)[:_SHOWN]


def _wrong(value: Any, words: str) -> RequestError:
    return invalid(f"JSON Value: {_shown(value)} {words}")
