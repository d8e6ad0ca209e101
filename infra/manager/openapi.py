"""The API as an OpenAPI 3.1 document, served at /api/openapi.json.

Schemas of bodies and replies come from the classes that read and write them, so they cannot differ. Paths,
statuses and sentences stand here. Members may be added to replies, so readers ignore what they do not know;
requests are read strictly.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, Final, cast

from pydantic.json_schema import models_json_schema

from infra.manager import api, bodies
from infra.manager.bodies import CreateResource, DeleteResource, DrainTarget, SetStrategy
from infra.manager.problem import MEDIA_TYPE

Schema = Mapping[str, Any]
REF: Final = "#/components/schemas/{model}"
PROBLEMS: Final = {
    "400": "A field is missing, unknown or out of range; `errors` has each one, `known` what there is.",
    "401": "No token, an unknown one or an expired one.",
    "403": "The role, the Host or the origin of the request may not do this.",
    "404": "No such target or job; `known` has those that there are.",
    "405": "The path takes other methods; `allow` lists them.",
    "408": "The body did not arrive in time.",
    "409": "The fleet has changed (`version`), the last target would go, or another operation holds the "
    "stack (`pid`, `since`).",
    "413": "The body is too large.",
    "415": "The body is not `application/json`.",
    "429": "Too many requests or listeners; `retry-after` says when to try again.",
    "500": "An error in the manager.",
    "503": "The stack, its routers or the tokens cannot be read, or there are too many connections.",
}
_ALWAYS: Final = ("401", "403", "429", "503")
_WITH_BODY: Final = ("400", "408", "413", "415")
_PREVIEW: Final[Schema] = {
    "name": "preview",
    "in": "query",
    "schema": {"type": "boolean", "default": False},
    "description": "Only plan: the job ends with `plan`, and nothing changes.",
}
# One event: OpenAPI 3.1 has no schema of a stream.
_SENT_EVENT: Final[Schema] = {
    "type": "object",
    "required": ["event", "data"],
    "properties": {
        "id": {"type": "string", "pattern": "^[0-9]+$"},
        "event": {"enum": ["step", "resource", "message", "end"]},
        "data": {"type": "string", "contentMediaType": "application/json"},
    },
}
_METRICS: Final[Schema] = {
    "description": "Gauges `skyfleet_target_*`, `skyfleet_router_up`, `skyfleet_checker_fresh`, "
    "`skyfleet_problems`, and `skyfleet_minute_*` of the newest complete minute.",
    "content": {"text/plain": {"schema": {"type": "string"}}},
}
_JOB: Final[Schema] = {
    "name": "job",
    "in": "path",
    "required": True,
    "schema": {"type": "string"},
    "description": "The id of a job.",
}


@cache
def document() -> dict[str, Any]:
    """The whole document."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Skyfleet manager",
            "version": "1",
            "description": "Changes a fleet and shows it. An error is a problem document (RFC 9457).",
        },
        "security": [{"token": []}, {"session": []}, {}],
        "paths": _paths(),
        "components": {
            "schemas": _schemas(),
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "A token of `skyfleet manager token create`. Only the emulator's stack is "
                    "served without.",
                },
                "session": {"type": "apiKey", "in": "cookie", "name": "skyfleet-manager"},
            },
        },
    }


def _paths() -> dict[str, Any]:
    return {
        "/api/create-resource": {"post": _change("Add a target, or change one.", CreateResource, ("409",))},
        "/api/delete-resource": {
            "delete": _change("Drain a target and remove it.", DeleteResource, ("404", "409"))
        },
        "/api/status": {
            "get": _operation(
                "The fleet as its routers report it.", _json("The picture.", _ref("Picture")), ()
            )
        },
        "/api/jobs": {"get": _recent()},
        "/api/jobs/{job}": {
            "get": _operation("One job.", _json("The job.", _ref("Job")), ("404",), parameters=[_JOB])
        },
        "/api/jobs/{job}/events": {"get": _events()},
        "/api/jobs/{job}/cancel": {
            "post": _operation(
                "Cancel a queued job, or interrupt a running one.",
                _json("The job; a running one ends soon.", _ref("Job"), "202"),
                ("400", "404", "409"),
                parameters=[_JOB],
            )
        },
        "/api/strategy": {
            "post": _operation(
                "Have all routers pick by a strategy.",
                _json("A sentence for each router.", _ref("Routers")),
                _WITH_BODY,
                body=SetStrategy,
            )
        },
        "/api/drain": {
            "post": _operation(
                "Keep new requests away from a target, or end that.",
                _json("A sentence for each router.", _ref("Routers")),
                (*_WITH_BODY, "404", "409"),
                body=DrainTarget,
            )
        },
        "/metrics": {"get": _operation("The picture as metrics for Prometheus.", {"200": _METRICS}, ())},
        **_open_paths(),
    }


def _open_paths() -> dict[str, Any]:
    return {
        "/api/openapi.json": {
            "get": {
                "summary": "This document.",
                "security": [],
                "responses": {
                    **_json("The document.", {"type": "object"}),
                    **_problems(("403", "429", "503")),
                },
            }
        },
        "/health": {
            "get": {
                "summary": "The manager is there; needs no token.",
                "security": [],
                "responses": {**_json("It is.", _ref("Health")), **_problems(("403", "429", "503"))},
            }
        },
    }


def _change(summary: str, body: type[bodies.Body], problems: tuple[str, ...]) -> dict[str, Any]:
    accepted = _json("The id of the job that does it.", _ref("Accepted"), "202")
    accepted["202"]["headers"] = {"location": {"description": "The job.", "schema": {"type": "string"}}}
    return _operation(summary, accepted, (*_WITH_BODY, *problems), body=body, parameters=[_PREVIEW])


def _recent() -> dict[str, Any]:
    limit = {
        "name": "limit",
        "in": "query",
        "schema": {"type": "integer", "minimum": 1, "maximum": api.MOST_JOBS, "default": 50},
    }
    replies = _json("The jobs, without their events.", _ref("Jobs"))
    return _operation("The newest jobs, newest first.", replies, ("400",), parameters=[limit])


def _events() -> dict[str, Any]:
    after = {
        "name": "Last-Event-ID",
        "in": "header",
        "schema": {"type": "string", "pattern": "^[0-9]{1,9}$"},
        "description": "Only events after this one; browsers send it when they reconnect.",
    }
    stream = {
        "description": "Server-sent events `step`, `resource` and `message`, each an Event, past ones first; "
        "at last `end` with the Job, without its events.",
        "content": {"text/event-stream": {"schema": _SENT_EVENT}},
    }
    replies = {"200": stream, "204": {"description": "The job has ended and all was sent: do not reconnect."}}
    return _operation("Progress of a job.", replies, ("400", "404"), parameters=[_JOB, after])


def _operation(
    summary: str,
    replies: dict[str, Any],
    problems: tuple[str, ...],
    *,
    body: type[bodies.Body] | None = None,
    parameters: list[Schema] | None = None,
) -> dict[str, Any]:
    made: dict[str, Any] = {"summary": summary}
    if parameters:
        made["parameters"] = parameters
    if body is not None:
        content = {"application/json": {"schema": _ref(body.__name__)}}
        made["requestBody"] = {"required": True, "content": content}
    made["responses"] = {**replies, **_problems((*_ALWAYS, *problems))}
    return made


def _json(description: str, schema: Schema, status: str = "200") -> dict[str, Any]:
    return {status: {"description": description, "content": {"application/json": {"schema": schema}}}}


def _problems(statuses: tuple[str, ...]) -> dict[str, Any]:
    schema = {MEDIA_TYPE: {"schema": _ref("Problem")}}
    return {
        status: {"description": PROBLEMS[status], "content": schema}
        for status in sorted({*statuses, "405", "500"})
    }


def _ref(model: str) -> Schema:
    return {"$ref": REF.format(model=model)}


def _schemas() -> dict[str, Any]:
    _, made = models_json_schema(
        [
            (CreateResource, "validation"),
            (DeleteResource, "validation"),
            (SetStrategy, "validation"),
            (DrainTarget, "validation"),
        ],
        ref_template=REF,
    )
    generated: dict[str, Any] = {**made["$defs"], **api.schemas(REF)}
    return {**{name: _without_titles(schema) for name, schema in generated.items()}, **_OWN}


def _without_titles(schema: Any) -> Any:  # noqa: ANN401 (any JSON)
    """A schema without pydantic's titles, which repeat the names."""
    if isinstance(schema, list):
        return [_without_titles(item) for item in cast("list[Any]", schema)]
    if not isinstance(schema, dict):
        return schema
    members = cast("dict[str, Any]", schema).items()
    return {key: _without_titles(value) for key, value in members if key != "title"}


_TEXT: Final[Schema] = {"type": "string"}
_OWN: Final[Schema] = {
    "Accepted": {"type": "object", "required": ["job"], "properties": {"job": _TEXT}},
    "Routers": {
        "type": "object",
        "required": ["routers"],
        "properties": {"routers": {"type": "array", "items": _TEXT}},
    },
    "Jobs": {
        "type": "object",
        "required": ["jobs"],
        "properties": {"jobs": {"type": "array", "items": _ref("Job")}},
    },
    "Health": {
        "type": "object",
        "required": ["status", "stack"],
        "properties": {"status": {"const": "ok"}, "stack": _TEXT},
    },
    "Problem": {
        "type": "object",
        "description": "RFC 9457. Further members depend on the problem.",
        "required": ["type", "title", "status", "detail"],
        "properties": {
            "type": {"const": "about:blank"},
            "title": _TEXT,
            "status": {"type": "integer"},
            "detail": {"type": "string", "description": "What happened, what was found and what to do."},
        },
    },
}
