"""docs/reference/openapi.json: the router's own paths as OpenAPI 3.1.

Rules
- Fields of the status, strategies, states and limits come from the code, sentences of the status from
  text.toml. Types stand in `_TYPES`, and a field without one is an error.
- Every other path goes to an agent and is none of this document.
- Fields may be added to a response, so readers ignore what they do not know; requests are read strictly.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from router.core.health.machine import Status
from router.core.health.snapshots import MOST_ROUTERS
from router.core.targets import MOST_TARGETS
from skyfleet.contract import Strategy
from tools.reference import sources
from tools.reference.text import IncompleteText, described

PATH: Final = "docs/reference/openapi.json"
_JSON: Final = "application/json"
_TEXT: Final = {"type": "string"}
_NUMBER: Final = {"type": "number"}
_COUNT: Final = {"type": "integer", "minimum": 0}
_FLAG: Final = {"type": "boolean"}
_MAYBE: Final = {"type": ["number", "null"]}
_STRATEGY: Final = {"enum": [str(one) for one in Strategy]}
_TYPES: Final[Mapping[str, Mapping[str, Any]]] = {
    **dict.fromkeys(("cloud", "region", "url", "reason", "learned", "checker"), _TEXT),
    **dict.fromkeys(("cold", "failing", "fresh"), _FLAG),
    **dict.fromkeys(("inflight", "ejections", "checkers_up", "checkers_down"), _COUNT),
    **dict.fromkeys(("requests", "retried", "failed"), _COUNT),
    **dict.fromkeys(("latency_ms", "share", "at", "age_s"), _MAYBE),
    **dict.fromkeys(("since", "weight", "effective_weight", "errors", "price"), _NUMBER),
    **dict.fromkeys(("health_share", "backoff_s", "ejected_s", "queue_timeout_s"), _NUMBER),
    "build": {"type": ["string", "null"]},
    "strategy": _STRATEGY,
    "rejected": {"type": "object", "additionalProperties": _TEXT},
    "targets[].state": {"enum": [str(one) for one in Status]},
    "store.state": {"enum": ["ok", "down", "unwritten", "unread", "off"]},
}
# What the server refuses before the router sees it (skyfleet/http1).
_REFUSALS: Final = {
    "400": "The request is not valid HTTP/1.1.",
    "408": "The request did not arrive in time.",
    "413": "The body is too large.",
    "414": "The request line is too long.",
    "431": "The header fields are too large.",
    "501": "A transfer coding other than chunked.",
    "505": "A version other than HTTP/1.0 and HTTP/1.1.",
}
_OTHER_METHOD: Final = "The path takes other methods; `allow` lists them."
_NO_KEY: Final = "No valid API key."


def document(root: Path) -> dict[str, Any]:
    """The whole document. Raises IncompleteText for a field of the status without a type."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Skyfleet router",
            "version": "1",
            "description": "The router's own paths, as they are sent. Every other path goes to an agent.",
        },
        "paths": {
            "/health": _read("The router is there; costs nothing and needs no key.", "Health", health=True),
            "/api/status": _read("The router's view of its targets and checkers.", "Status"),
            "/api/control": {**_read("What operators have changed.", "Control"), "put": _control_put()},
            "/api/minutes": _read("Counts of the last hour, of all instances of this router.", "Minutes"),
            "/_skyfleet/health": {"post": _snapshot_post()},
            "/.well-known/skyfleet.json": _routers(),
            "/ws": {"get": _websocket_get()},
        },
        "components": {
            "schemas": {"Status": _status(root), **_SCHEMAS},
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
            },
        },
    }


def text(root: Path) -> str:
    """The file."""
    return json.dumps(document(root), indent=1) + "\n"


def _status(root: Path) -> dict[str, Any]:
    schema = _object()
    fields = described("status", sources.status_fields(root / "router/status.py"))
    for name, sentence in fields.items():
        kind = _TYPES.get(name) or _TYPES.get(name.rpartition(".")[2])
        if kind is None:
            raise IncompleteText("types of tools/reference/openapi.py", [name], [])
        at = schema
        *parents, leaf = name.split(".")
        for parent in parents:
            at = _child(at, parent)
        _add(at, leaf, {**kind, "description": sentence})
    return schema


def _object() -> dict[str, Any]:
    return {"type": "object", "properties": {}, "required": []}


def _add(schema: dict[str, Any], name: str, value: dict[str, Any]) -> None:
    schema["properties"][name] = value
    schema["required"].append(name)


def _child(schema: dict[str, Any], name: str) -> dict[str, Any]:
    """The schema of a member, or of the elements of `name[]`, which is made if it is not there."""
    bare = name.removesuffix("[]")
    if bare not in schema["properties"]:
        inner = _object()
        _add(schema, bare, {"type": "array", "items": inner} if name.endswith("[]") else inner)
    found: dict[str, Any] = schema["properties"][bare]
    return found["items"] if name.endswith("[]") else found


def _response(sentence: str, schema: str = "Error") -> dict[str, Any]:
    content = {_JSON: {"schema": {"$ref": f"#/components/schemas/{schema}"}}}
    return {"description": sentence, "content": content}


def _operation(
    sentence: str, good: dict[str, Any], errors: Mapping[str, str], *, key: bool = True
) -> dict[str, Any]:
    refusals = {**_REFUSALS, **errors}
    return {
        "summary": sentence,
        "security": [{"bearer": []}, {"key": []}] if key else [],
        "responses": {"200": good} | {status: _response(refusals[status]) for status in sorted(refusals)},
    }


def _read(sentence: str, schema: str, *, health: bool = False) -> dict[str, Any]:
    """GET, and HEAD, whose responses have no body."""
    errors = {"405": _OTHER_METHOD} if health else {"401": _NO_KEY, "405": _OTHER_METHOD}
    get = _operation(sentence, _response("The document.", schema), errors, key=not health)
    if health:
        get["responses"]["503"] = _response("The same: this instance ends.", schema)
    bare = {status: {"description": one["description"]} for status, one in get["responses"].items()}
    return {"get": get, "head": {**get, "responses": bare}}


def _routers() -> dict[str, Any]:
    """GET and HEAD, which a client repeats with the entity tag that it has."""
    read = _read("The routers of the fleet, in the order in which clients use them.", "Routers")
    changed = {"304": {"description": "The document has the entity tag of `if-none-match`."}}
    tag = {"name": "if-none-match", "in": "header", "required": False, "schema": _TEXT}
    return {
        method: {**one, "parameters": [tag], "responses": {**one["responses"], **changed}}
        for method, one in read.items()
    }


def _control_put() -> dict[str, Any]:
    operation = _operation(
        "Change the strategy or drain targets. Fields that are left out stay as they are.",
        _response("The document after the change.", "Control"),
        {
            "400": "`bad-control`: the document is not understood.",
            "401": _NO_KEY,
            "405": _OTHER_METHOD,
            "409": "`changed-meanwhile` or `newer-version`: read it again.",
            "413": "The body is above 32 KB.",
            "503": "`not-kept`: it is unknown whether the change was stored.",
        },
    )
    schema = {"$ref": "#/components/schemas/Update"}
    return {**operation, "requestBody": {"required": True, "content": {_JSON: {"schema": schema}}}}


def _snapshot_post() -> dict[str, Any]:
    operation = _operation(
        "A checker's snapshot, signed with its key.",
        _response("Whether it is stored.", "Accepted"),
        {
            "400": "`snapshot-rejected`: the message has the reason.",
            "401": "No valid signature of a checker.",
            "405": _OTHER_METHOD,
            "413": "The body is above 1 MiB.",
        },
        key=False,
    )
    schema = {"$ref": "#/components/schemas/Snapshot"}
    return {**operation, "requestBody": {"required": True, "content": {_JSON: {"schema": schema}}}}


def _websocket_get() -> dict[str, Any]:
    operation = _operation(
        "A WebSocket for many requests (docs/websocket.md), where the router's cloud carries one.",
        {},
        {
            "400": "`websocket-expected`: the request is no handshake.",
            "401": _NO_KEY,
            "403": "`origin-not-allowed`: pages of this origin may not call.",
            "405": _OTHER_METHOD,
            "501": "`no-websocket`: the router's cloud carries no WebSocket.",
            "503": "`too-many-websockets`: connect again in a second.",
        },
    )
    opened = {"101": {"description": "The connection is a WebSocket."}}
    others = {status: one for status, one in operation["responses"].items() if status != "200"}
    return {**operation, "responses": opened | others}


def _closed(required: list[str], **properties: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "object", "required": required, "properties": properties}


_DRAINING: Final = {"type": "array", "maxItems": MOST_TARGETS, "items": _TEXT}
_PROBE: Final = _closed(
    ["target", "at", "ok"],
    target=_TEXT,
    at=_NUMBER,
    ok=_FLAG,
    cold=_FLAG,
    latency_ms={"type": ["number", "null"]},
    reason=_TEXT,
    build={"type": ["string", "null"]},
    inflight={"type": ["number", "null"]},
)
_SCHEMAS: Final[Mapping[str, Any]] = {
    "Health": _closed(
        ["status", "cloud", "region", "build", "fleet", "role"],
        status={"enum": ["ok", "draining"]},
        cloud=_TEXT,
        region=_TEXT,
        build=_TEXT,
        fleet=_TEXT,
        role={"const": "router"},
    ),
    "Control": _closed(
        ["version", "strategy", "draining", "revision", "effective", "configured", "kept"],
        version={"const": 1},
        strategy={"enum": [*_STRATEGY["enum"], None]},
        draining=_DRAINING,
        revision=_COUNT,
        effective=_STRATEGY,
        configured=_STRATEGY,
        kept={"enum": ["instance", "bucket"]},
        unread=_TEXT,
    ),
    "Update": {
        "type": "object",
        "anyOf": [{"required": ["strategy"]}, {"required": ["draining"]}],
        "additionalProperties": False,
        "properties": {
            "strategy": {"enum": [*_STRATEGY["enum"], "configured", None]},
            "draining": _DRAINING,
            "revision": {"type": ["integer", "null"]},
            "version": {},
        },
    },
    "Snapshot": _closed(
        ["version", "checker", "at", "results"],
        version={"const": 1},
        checker=_TEXT,
        at=_NUMBER,
        results={"type": "array", "maxItems": 3_000, "items": _PROBE},
        routers={"type": "array", "maxItems": MOST_ROUTERS, "items": {"type": "string", "format": "uri"}},
    ),
    "Routers": _closed(
        ["version", "routers", "complete", "iat", "exp"],
        version={"const": 1},
        routers={"type": "array", "items": {"type": "string", "format": "uri"}},
        complete={
            "type": "boolean",
            "description": "`false`: the router knows only itself, and its URL is that of the request.",
        },
        iat={**_COUNT, "description": "When the list was issued, in unix seconds."},
        exp={**_COUNT, "description": "When it expires."},
        signed={
            "type": "string",
            "description": "The same as a JSON Web Signature (docs/client.md); an open router has none.",
        },
    ),
    "Accepted": _closed(["accepted", "stored"], accepted={"const": True}, stored=_FLAG),
    "Error": _closed(
        ["error"],
        error=_closed(
            ["code", "message", "type", "param"],
            code=_TEXT,
            message=_TEXT,
            type=_TEXT,
            param={"type": ["string", "null"]},
        ),
    ),
}
