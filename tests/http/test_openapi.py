"""The router's own paths do what docs/reference/openapi.json says (schemathesis)."""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Generator
from pathlib import Path
from typing import Any, Final

import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from router.own_paths import OWN_PATHS
from skyfleet import signing
from tests.http.support import Setup, running
from tests.router.support import API_KEY, keys_of

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import schemathesis
    from schemathesis import checks
    from schemathesis.generation import GenerationMode
    from schemathesis.specs.openapi import checks as of_openapi

ROOT: Final = Path(__file__).parents[2]
DOCUMENT: Final[dict[str, Any]] = json.loads((ROOT / "docs/reference/openapi.json").read_text("utf-8"))
_CONFIG: Final[Any] = {
    "checks": {
        "negative_data_rejection": {
            "expected-statuses": ["400", "401", "405", "408", "409", "413", "431", "501"]
        },
        # A method or a path that is not served at all.
        "not_a_server_error": {"expected-statuses": ["2xx", "3xx", "4xx", "501"]},
    }
}
_schemathesis: Final[Any] = schemathesis  # its types are incomplete
SCHEMA: Final[Any] = _schemathesis.openapi.from_dict(
    DOCUMENT, config=_schemathesis.config.SchemathesisConfig.from_dict(_CONFIG)
)
OPERATIONS: Final[dict[str, Any]] = {
    one.label: one for one in (found.ok() for found in SCHEMA.get_all_operations())
}
# /health takes nothing that could be wrong. A HEAD takes what its GET takes (a test below), so what is wrong
# is sent to GET, and to both with `--long`.
SENT: Final = [
    pytest.param(
        label,
        mode,
        id=f"{label}, {mode.value}",
        marks=pytest.mark.long if mode is GenerationMode.NEGATIVE and label.startswith("HEAD ") else (),
    )
    for label in OPERATIONS
    for mode in GenerationMode
    if mode is GenerationMode.POSITIVE or not label.endswith(" /health")
]
OWN: Final = {path.decode() for path in OWN_PATHS}
METHODS: Final = ("get", "head", "post", "put", "delete", "patch", "options")
_general: Final[Any] = checks
_specific: Final[Any] = of_openapi
CHECKS: Final[list[Any]] = [
    _general.not_a_server_error,
    _specific.status_code_conformance,
    _specific.content_type_conformance,
    _specific.response_schema_conformance,
    _specific.negative_data_rejection,
]


@pytest.fixture(scope="module")
def setup() -> Generator[Setup]:
    """A router with an API key and one target; it has no bucket."""
    with running(keyed=True) as one:
        yield one


def _headers(path: str, body: bytes) -> dict[str, str]:
    """The credentials of each path: a checker's signature, or the API key."""
    if path != "/_skyfleet/health":
        return {"authorization": f"Bearer {API_KEY}"}
    keys = signing.Keys.parse(keys_of("checker", "aws/r0"))
    nonce = f"{time.monotonic_ns():032x}"
    signed = signing.sign(keys, "POST", path, b"", body, now=time.time(), nonce=nonce)
    return {name.decode(): value.decode() for name, value in signed}


@pytest.mark.parametrize(("label", "mode"), SENT)
@settings(
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
    deadline=None,
)
@given(data=st.data())
def test_an_own_path_answers_as_its_document_says(
    setup: Setup, label: str, mode: GenerationMode, data: st.DataObject
) -> None:
    """Whatever is sent: a documented status, type and shape, and no accepted nonsense.

    schemathesis' own `parametrize` gives all operations one node id, of which pytest-xdist runs one test."""
    case: Any = data.draw(OPERATIONS[label].as_strategy(generation_mode=mode))
    with requests.Session() as session:
        session.trust_env = False
        request = session.prepare_request(
            requests.Request(**case.as_transport_kwargs(base_url=f"http://127.0.0.1:{setup.port}"))
        )
        body = request.body or b""
        request.headers.update(_headers(case.path, body.encode() if isinstance(body, str) else body))
        response = session.send(request, timeout=10)
    case.validate_response(response, checks=CHECKS)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("path", sorted(OWN))
def test_an_own_path_takes_the_methods_of_its_document(path: str, method: str, setup: Setup) -> None:
    """405 for all others, which names those that it takes."""
    url = f"http://127.0.0.1:{setup.port}{path}"
    with requests.Session() as session:
        session.trust_env = False
        response = session.request(method, url, headers=_headers(path, b""), timeout=10)
    assert (response.status_code == 405) == (method not in DOCUMENT["paths"][path])
    if response.status_code == 405:
        allowed = {one.strip().lower() for one in response.headers["allow"].split(",")}
        assert allowed == set(DOCUMENT["paths"][path])


def test_the_document_has_the_routers_own_paths() -> None:
    """A new one is in the document too."""
    assert set(DOCUMENT["paths"]) == OWN


def test_a_head_takes_what_its_get_takes() -> None:
    """In the document, from which the requests above are drawn."""
    both = [one for one in DOCUMENT["paths"].values() if "head" in one]
    assert len(both) == len([label for label in OPERATIONS if label.startswith("HEAD ")])
    for one in both:
        for part in ("parameters", "requestBody", "security"):
            assert one["head"].get(part) == one["get"].get(part)
