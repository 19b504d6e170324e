"""The OpenAPI document and the server's own routes name the same addresses, and its schemas are true of answers."""

import base64
import re
from collections.abc import Iterator
from typing import Any

import pytest

from serving import openapi, rest_api
from serving.rest_api import RestServer
from serving.web.files import FILES
from tests.serving.test_rest_api import ask
from tests.serving.test_web import manager, server
from tests.serving.web_release import IDS, large

__all__ = ["manager", "server"]

DOCUMENT = openapi.document()
VALUES = {"model": "m3net", "version": "1", "label": "stable", "id": "item-9", "name": "m3net", "item": "item-9"}


def addresses(pattern: Any, groups: dict[int, str]) -> Iterator[str]:
    """Every address that a route's regular expression has, a group that takes any text as {its name}."""
    parts: list[str] = [""]
    for kind, value in pattern:
        name = str(kind)
        if name == "LITERAL":
            found = [chr(value)]
        elif name == "BRANCH":
            found = [one for branch in value[1] for one in addresses(branch, groups)]
        elif name == "SUBPATTERN":
            inside = list(addresses(value[3], groups))
            found = [f"{{{groups[value[0]]}}}"] if inside == [""] else inside
        elif name == "MAX_REPEAT" and value[:2] == (0, 1):
            found = ["", *addresses(value[2], groups)]
        else:
            assert name == "MAX_REPEAT", name  # [^/]+ and the like: any text
            found = [""]
        parts = [before + one for before in parts for one in found]
    return iter(parts)


def routes(pattern: re.Pattern[str]) -> set[str]:
    import re._parser as parser  # type: ignore[import-not-found]  # the only place that has the parsed form

    names = {number: {"name": "model", "item": "id"}.get(name, name) for name, number in pattern.groupindex.items()}
    return {one for one in addresses(parser.parse(pattern.pattern), names) if "{model}" in one}


def test_every_route_is_in_the_document_and_every_one_in_it_exists() -> None:
    documented = {(method, path) for path, methods in DOCUMENT["paths"].items() for method in methods}
    there = {("post", one) for one in routes(rest_api._ASK)} | {("get", one) for one in routes(rest_api._TELL)}
    assert len(there) == 21  # seven things to ask, each of the newest, a version or a label
    assert documented == there | {("get", "/models"), ("get", "/openapi.json")}
    assert "/openapi.json" in FILES


@pytest.mark.parametrize("path", [path for path in DOCUMENT["paths"] if "{label}" not in path])
def test_each_answers_as_it_says(server: RestServer, path: str) -> None:
    """The status is one it names, and of an answer the required keys are there, at every depth."""
    ((method, operation),) = DOCUMENT["paths"][path].items()
    image = {"b64": base64.b64encode(large(1)).decode()}
    body = {"signature_name": "classify", "inputs": {"image": [image]}} if method == "post" else None
    status, headers, answer = ask(server, method.upper(), path.format(**VALUES), body)
    assert status == (200 if "200" in operation["responses"] else 400)
    content = operation["responses"][str(status)]["content"]
    assert headers["Content-Type"] in content
    if "schema" in content[headers["Content-Type"]]:
        check(answer, content[headers["Content-Type"]]["schema"])


def check(value: Any, schema: dict[str, Any]) -> None:
    """As much of JSON Schema as the document uses of answers."""
    if "$ref" in schema:
        schema = DOCUMENT["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
    kinds = {"object": dict, "array": list, "string": str, "integer": int, "boolean": bool}
    allowed = schema.get("type", list(kinds))
    assert isinstance(value, tuple(kinds[one] for one in ([allowed] if isinstance(allowed, str) else allowed)))
    assert value in schema.get("enum", [value])
    assert re.search(schema.get("pattern", ""), value if isinstance(value, str) else "0")
    if isinstance(value, dict):
        assert set(schema.get("required", [])) <= set(value)
        for name, inside in schema.get("properties", {}).items():
            if name in value:
                check(value[name], inside)
    if isinstance(value, list):
        assert len(value) >= schema.get("minItems", 0)
        for one in value if "items" in schema else ():
            check(one, schema["items"])
    if "oneOf" in schema:
        assert sum(set(one["required"]) <= set(value) for one in schema["oneOf"]) == 1


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "<b>"])
def test_other_methods_are_refused_as_everything_else_is(server: RestServer, method: str) -> None:
    for path, allowed in (("/models", "GET"), ("/v1/models/m3net", "GET"), ("/v1/models/m3net:predict", "POST")):
        status, headers, answer = ask(server, method, path)
        assert (status, headers["Allow"], headers["Content-Type"]) == (405, allowed, "application/json")
        assert answer == {"error": f"Method Not Allowed: {allowed} is"}


def test_ids_with_slashes_are_one_part_of_an_address(server: RestServer) -> None:
    assert "/" in IDS[0]
    status, _, answer = ask(server, "GET", f"/v1/models/m3net/items/{IDS[0]}/photo")
    assert (status, answer["error"][:17]) == (400, "Malformed request")
