"""The REST port's JSON routes as an OpenAPI 3.1 document, at `/openapi.json`."""

from typing import Any

Json = dict[str, Any]

_MODEL = {"model": ({"type": "string", "minLength": 1}, "the model's name")}
_CHOICES: dict[str, dict[str, tuple[Json, str]]] = {
    "": {},
    "/versions/{version}": {"version": ({"type": "integer", "minimum": 0, "maximum": 2**63 - 1}, "a version that is served")},
    "/labels/{label}": {"label": ({"type": "string", "minLength": 1}, "a label of models.config")},
}
_ITEM: dict[str, tuple[Json, str]] = {
    "id": ({"type": "string", "minLength": 1}, "an item's id, its slashes percent-encoded too")
}

_TEXT, _COUNT = {"type": "string"}, {"type": "integer", "minimum": 0}
_SCHEMAS: Json = {
    "Error": {"type": "object", "required": ["error"], "properties": {"error": _TEXT}},
    "Predict": {
        "type": "object",
        "description": "Either rows (`instances`) or columns (`inputs`), as TF Serving takes them. Bytes are "
        '{"b64": "..."}. Signatures: embed (image, attribute; the default), classify (image), explain (image, attribute), '
        "search (image, attribute, k), search_by_id (id, attribute, k), search_by_class (class, attribute, k). Those that "
        'search are asked in columns alone, k being one number, and take `where`, too: conditions "column=value".',
        "properties": {
            "signature_name": _TEXT,
            "output_filter": {"type": "array", "items": _TEXT, "description": "the outputs wanted; ours alone"},
            "instances": {"type": "array", "minItems": 1},
            "inputs": {},
        },
        "oneOf": [{"required": ["instances"]}, {"required": ["inputs"]}],
    },
    "Predicted": {
        "type": "object",
        "oneOf": [
            {"required": ["predictions"], "properties": {"predictions": {"type": "array"}}},
            {"required": ["outputs"], "properties": {"outputs": {"type": ["object", "array"]}}},
        ],
    },
    "Refused": {"type": "object", "properties": {"signature_name": _TEXT}},
    "Status": {
        "type": "object",
        "required": ["model_version_status"],
        "properties": {
            "model_version_status": {
                "type": "array",
                "minItems": 1,
                "items": {
                    "type": "object",
                    "required": ["version", "state", "status"],
                    "properties": {
                        "version": {"type": "string", "pattern": "^[0-9]+$"},
                        "state": {"enum": ["UNKNOWN", "START", "LOADING", "AVAILABLE", "UNLOADING", "END"]},
                        "status": {
                            "type": "object",
                            "required": ["error_code", "error_message"],
                            "properties": {"error_code": _TEXT, "error_message": _TEXT},
                        },
                    },
                },
            }
        },
    },
    "Metadata": {
        "type": "object",
        "required": ["model_spec", "metadata"],
        "properties": {
            "model_spec": {"type": "object", "required": ["name", "version"]},
            "metadata": {"type": "object", "required": ["signature_def"]},
        },
    },
    "Release": {
        "type": "object",
        "required": ["model", "version", "system", "dataset", "items", "attributes", "signatures", "examples"],
        "properties": {
            "model": _TEXT,
            "version": _COUNT,
            "system": _TEXT,
            "dataset": _TEXT,
            "items": _COUNT,
            "attributes": {
                "type": "array",
                "minItems": 1,
                "items": {
                    "type": "object",
                    "required": ["name", "classes", "multi_label"],
                    "properties": {
                        "name": _TEXT,
                        "classes": {"type": "array", "minItems": 1, "items": _TEXT},
                        "multi_label": {"type": "boolean"},
                    },
                },
            },
            "signatures": {"type": "array", "items": _TEXT},
            "examples": {"type": "array", "items": _TEXT, "description": "ids of items to begin with"},
        },
    },
    "Models": {
        "type": "object",
        "required": ["models"],
        "properties": {
            "models": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["name", "ready"],
                    "properties": {"name": _TEXT, "ready": {"type": "boolean"}},
                },
            }
        },
    },
}  # fmt: skip
_REASONS = {
    400: "the request is wrong", 401: "a token is needed", 404: "there is no such model, version, item or photo",
    429: "too much is asked at once, or too large a body", 503: "the server is ending", 504: "it took too long",
}  # fmt: skip
# method, what follows the model and its version, more parameters, summary, the answer's schema, the request's
_OF_A_MODEL: list[tuple[str, str, dict[str, tuple[Json, str]], str, str, str]] = [
    ("post", ":predict", {}, "Ask a signature", "Predicted", "Predict"),
    ("post", ":classify", {}, "Refused: all signatures are for predict", "", "Refused"),
    ("post", ":regress", {}, "Refused: all signatures are for predict", "", "Refused"),
    ("get", "", {}, "The states of the versions", "Status", ""),
    ("get", "/metadata", {}, "The signatures", "Metadata", ""),
    ("get", "/release", {}, "What the release holds", "Release", ""),
    ("get", "/items/{id}/photo", _ITEM, "A small JPEG of an item", "photo", ""),
]


def document() -> Json:
    """All of it, as JSON values."""
    paths = {
        "/models": {"get": _operation({}, "The models and whether they answer", "Models", "")},
        "/openapi.json": {"get": _operation({}, "This document", "Document", "", codes=())},
    }
    for method, end, more, summary, answer, body in _OF_A_MODEL:
        for choice, parameters in _CHOICES.items():
            operation = _operation({**_MODEL, **parameters, **more}, summary, answer, body)
            paths[f"/v1/models/{{model}}{choice}{end}"] = {method: operation}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "m3net",
            "version": "1",
            "description": "TF Serving's REST interface, with retrieval. Unknown keys and query strings are passed over.",
        },
        "security": [{}, {"token": []}],
        "paths": paths,
        "components": {
            "schemas": {**_SCHEMAS, "Document": {"type": "object", "required": ["openapi", "info", "paths"]}},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "description": "where --token-file is given"}},
        },
    }


def _operation(
    parameters: dict[str, tuple[Json, str]], summary: str, answer: str, body: str, codes: tuple[int, ...] = tuple(_REASONS)
) -> Json:
    responses = {str(code): {"description": _REASONS[code], "content": _json("Error")} for code in codes}
    if answer == "photo":
        responses["200"] = {"description": "the photo", "content": {"image/jpeg": {}}}
    elif answer:
        responses["200"] = {"description": "the answer", "content": _json(answer)}
    operation: Json = {"summary": summary, "responses": dict(sorted(responses.items()))}
    if not codes:
        operation["security"] = []
    if parameters:
        operation["parameters"] = [
            {"name": name, "in": "path", "required": True, "description": text, "schema": schema}
            for name, (schema, text) in parameters.items()
        ]
    if body:
        operation["requestBody"] = {"required": True, "content": _json(body)}
    return operation


def _json(schema: str) -> Json:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}
