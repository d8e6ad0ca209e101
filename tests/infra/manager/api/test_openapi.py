"""The manager's API does what its OpenAPI document says (schemathesis), over fakes."""

from __future__ import annotations

import warnings
from collections.abc import Generator
from pathlib import Path
from typing import Any, Final

import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from infra.manager import openapi
from infra.manager.app import all_routes
from infra.manager.jobs.model import Change, Job, State
from infra.operations.http import session
from tests.infra.manager.fakes import NOW, Setup
from tests.infra.manager.serving import Running, running

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import schemathesis
    from schemathesis import checks
    from schemathesis.generation import GenerationMode
    from schemathesis.specs.openapi import checks as of_openapi

DOCUMENT: Final[dict[str, Any]] = openapi.document()
_schemathesis: Final[Any] = schemathesis  # its types are incomplete
_CONFIG: Final[Any] = {
    "checks": {
        "negative_data_rejection": {
            "expected-statuses": ["400", "401", "403", "404", "405", "409", "413", "415", "429"]
        },
        "positive_data_acceptance": {"expected-statuses": ["2xx", "404", "409"]},
    }
}
SCHEMA: Final[Any] = _schemathesis.openapi.from_dict(
    DOCUMENT, config=_schemathesis.config.SchemathesisConfig.from_dict(_CONFIG)
)
OPERATIONS: Final[dict[str, Any]] = {
    one.label: one for one in (found.ok() for found in SCHEMA.get_all_operations())
}
# These take nothing that could be wrong.
PLAIN: Final = (
    "GET /health",
    "GET /api/openapi.json",
    "GET /api/status",
    "GET /metrics",
    "GET /api/jobs/{job}",
    "POST /api/jobs/{job}/cancel",
)
SENT: Final = [
    pytest.param(label, mode, id=f"{label}, {mode.value}")
    for label in OPERATIONS
    for mode in GenerationMode
    if mode is GenerationMode.POSITIVE or label not in PLAIN
]
_general: Final[Any] = checks
_specific: Final[Any] = of_openapi
CHECKS: Final[list[Any]] = [
    _general.not_a_server_error,
    _specific.status_code_conformance,
    _specific.content_type_conformance,
    _specific.response_headers_conformance,
    _specific.response_schema_conformance,
    _specific.negative_data_rejection,
    _specific.positive_data_acceptance,
]


@pytest.fixture(scope="module")
def manager(tmp_path_factory: pytest.TempPathFactory) -> Generator[Running]:
    """A manager with a job that has ended."""
    folder = tmp_path_factory.mktemp("manager")
    setup = Setup(folder)
    setup.jobs.known["0"] = Job("0", Change("create", "aws", "us-east-1"), "local", NOW, State.DONE)
    with running(folder, setup) as one:
        yield one


@pytest.mark.parametrize(("label", "mode"), SENT)
@settings(
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
    deadline=None,
)
@given(data=st.data())
def test_the_api_answers_as_its_document_says(
    manager: Running, label: str, mode: GenerationMode, data: st.DataObject
) -> None:
    """Whatever is sent: a documented status, type and shape, no error of the server, no accepted nonsense."""
    case: Any = data.draw(OPERATIONS[label].as_strategy(generation_mode=mode))
    with session(manager.url) as http:
        request = http.prepare_request(requests.Request(**case.as_transport_kwargs(base_url=manager.url)))
        # Made-up credentials are refused whatever else is sent, as test_roles.py has it.
        for name in ("authorization", "cookie"):
            request.headers.pop(name, None)
        response = http.send(request, timeout=20)
    case.validate_response(response, checks=CHECKS)


def test_every_path_of_the_api_is_in_the_document(tmp_path: Path) -> None:
    """And each of the document is served."""
    served = {
        path
        for route in all_routes(Setup(tmp_path).parts)
        if (path := str(getattr(route, "path", ""))).startswith("/api/") or path in ("/health", "/metrics")
    }
    assert set(DOCUMENT["paths"]) == served


def test_every_operation_has_the_limits_of_rate_and_connections() -> None:
    """Both hold on each path, with and without a token."""
    for path, operations in DOCUMENT["paths"].items():
        for operation in operations.values():
            assert {"429", "503"} <= set(operation["responses"]), path
