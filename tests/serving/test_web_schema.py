"""The JSON routes as /openapi.json describes them, asked with anything it allows and with much that it forbids."""

import base64
from collections.abc import Iterator
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import checks

from serving import openapi
from serving.rest_api import RestServer
from tests.serving.test_web import manager, server
from tests.serving.web_release import IDS, TAXONOMY, large

pytestmark = pytest.mark.slow

__all__ = ["manager", "server"]

ROUTES = [(path, method) for path, methods in openapi.document()["paths"].items() for method in methods]
# Wrong by the document can be a body or a number; in an address, every text is one.
ASKED = [(*route, "positive") for route in ROUTES]
ASKED += [(path, method, "negative") for path, method in ROUTES if method == "post" or "{version}" in path]
CHECKS = [
    checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]
BOUNDED = settings(max_examples=8, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def schema(server: RestServer) -> Any:
    return schemathesis.openapi.from_url(f"http://{server.address}/openapi.json")


@pytest.fixture(scope="module")
def session() -> Iterator[requests.Session]:
    with requests.Session() as session:  # one connection for all
        yield session


def hold(case: Any, session: requests.Session) -> requests.Response:
    """No defect; status, type and body of the answer are among those documented."""
    answer = case.call(session=session, timeout=20)
    case.validate_response(answer, checks=CHECKS)
    return answer


@pytest.mark.parametrize(("path", "method", "mode"), ASKED)
def test_every_route_answers_as_it_says(schema: Any, session: requests.Session, path: str, method: str, mode: str) -> None:
    """Half of the requests name the model that there is, version 1 and an item of it."""
    operation, there = schema[path][method.upper()], {"model": "m3net", "version": 1, "label": "none", "id": IDS[9]}
    strategies = [operation.as_strategy(generation_mode=schemathesis.GenerationMode(mode))]
    if "{" in path:
        known = {name: value for name, value in there.items() if f"{{{name}}}" in path}
        strategies.append(strategies[0].map(lambda case: (case.path_parameters.update(known), case)[1]))

    @BOUNDED
    @given(case=st.one_of(strategies))
    def ask(case: Any) -> None:
        hold(case, session)

    ask()


ATTRIBUTES = st.sampled_from([*TAXONOMY.names, "", "colour"])
TEXTS = st.one_of(st.sampled_from([*IDS, *TAXONOMY["pocket"].classes]), st.text(max_size=20))
PHOTOS = st.one_of(st.just({"b64": base64.b64encode(large(1)).decode()}), st.fixed_dictionaries({"b64": st.text(max_size=9)}))
INPUTS = {
    "image": st.lists(PHOTOS, max_size=3), "attribute": st.lists(ATTRIBUTES, max_size=3), "id": st.lists(TEXTS, max_size=3),
    "class": st.lists(TEXTS, max_size=3), "k": st.one_of(st.integers(-1, 1001), st.floats(), st.text(max_size=2)),
    "where": st.lists(st.one_of(st.sampled_from(["pocket=flap", "=", "split=test"]), st.text(max_size=9)), max_size=3),
}  # fmt: skip
SIGNATURES = {
    "embed": ["image", "attribute"], "classify": ["image"], "explain": ["image", "attribute"], "": ["image", "attribute"],
    "search": ["image", "attribute", "k", "where"], "search_by_id": ["id", "attribute", "k", "where"],
    "search_by_class": ["class", "attribute", "k", "where"],
}  # fmt: skip


@pytest.mark.parametrize("signature", SIGNATURES)
def test_every_signature_answers_as_it_says(schema: Any, session: requests.Session, signature: str) -> None:
    names, filters = SIGNATURES[signature], st.lists(st.sampled_from(["id", "score", "class", "image", "x"]), max_size=2)
    columns = st.fixed_dictionaries({}, optional={name: INPUTS[name] for name in names})
    fitting = st.integers(1, 3).flatmap(
        lambda rows: st.fixed_dictionaries(
            {
                name: one if name in ("k", "where") else one.filter(lambda v: len(v) == rows)
                for name, one in INPUTS.items()
                if name in names
            }
        )
    )
    operation = schema["/v1/models/{model}:predict"]["POST"]

    @BOUNDED
    @given(inputs=st.one_of(columns, fitting), wanted=filters)
    def ask(inputs: dict[str, Any], wanted: list[str]) -> None:
        body = {"signature_name": signature, "inputs": inputs, "output_filter": wanted}
        hold(operation.Case(path_parameters={"model": "m3net"}, body=body, media_type="application/json"), session)

    ask()
