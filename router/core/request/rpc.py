"""Which requests of MCP and A2A may be repeated: all are POST, so their JSON-RPC method decides.

Rules
- Reads, lists and what is idempotent by its specification may be repeated (`HARMLESS`). Everything else may
  not, `tools/call` and `SendMessage` among them: they need an Idempotency-Key or an agent that declares
  itself repeatable. A method that is not in the table may have any effect.
- Fields tell which requests are looked at, so all others cost nothing: the version that a client of MCP or
  A2A names, or an Accept with both types of MCP (`router.core.request.options`).
- From revision 2026-07-28 on, `Mcp-Method` names the method and a server must refuse a body with another one.
  So the field is believed there and the body is not read. In an older revision nothing checks the field.
- Otherwise the body is parsed if it is JSON of at most `MOST_PARSED` bytes, as reads are. It must be a
  request or a notification of JSON-RPC 2.0, or a batch of them that may all be repeated. An object with two
  members of one name is read differently by different parsers, so it may not be repeated.
- The router's own error for a request of MCP or A2A is an error of JSON-RPC, as a body and as the last event
  of a stream that broke off, so clients show its text. It has the id of the request, or null.

Sources: modelcontextprotocol.io/specification/2026-07-28/basic/transports/streamable-http, sections "Request
Metadata" and "Server Validation" (the note on intermediaries), and 2025-11-25/basic/transports (Accept; no
version in `initialize`), 2025-03-26/basic/transports (batches); a2a-protocol.org specification 1.0, sections
3.3.1 (idempotency), 3.1.10 (deletion of a push configuration) and 14.2.1 (`A2A-Version`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Final, cast

from skyfleet.asgi import Header

MCP_VERSION: Final = b"mcp-protocol-version"
MCP_METHOD: Final = b"mcp-method"
A2A_VERSION: Final = b"a2a-version"
ACCEPT: Final = b"accept"
# The fields by which a request is recognized. `accept` must have both types.
FIELDS: Final = frozenset({MCP_VERSION, MCP_METHOD, A2A_VERSION, ACCEPT})
_VERSIONS: Final = frozenset({MCP_VERSION, A2A_VERSION})
# Larger than any read; 64 KiB of JSON are parsed in less than a millisecond.
MOST_PARSED: Final = 65_536
# -32000 to -32019 are left to implementations (2026-07-28/basic/index, "Error Codes").
_ERROR: Final = -32000
# The first revision in which a server must compare `Mcp-Method` with the body.
_CHECKED: Final = b"2026-07-28"

_MCP: Final = frozenset(
    {
        "initialize",
        "ping",
        "server/discover",
        "tools/list",
        "resources/list",
        "resources/templates/list",
        "resources/read",
        "resources/subscribe",
        "resources/unsubscribe",
        "prompts/list",
        "prompts/get",
        "completion/complete",
        "logging/setLevel",
        "subscriptions/listen",
        "tasks/get",
        "tasks/list",
        "tasks/result",
        "notifications/initialized",
        "notifications/cancelled",
        "notifications/progress",
        "notifications/roots/list_changed",
    }
)
# Of 1.0, then of 0.3.
_A2A: Final = frozenset(
    {
        "GetTask",
        "ListTasks",
        "CancelTask",
        "SubscribeToTask",
        "GetTaskPushNotificationConfig",
        "ListTaskPushNotificationConfigs",
        "DeleteTaskPushNotificationConfig",
        "GetExtendedAgentCard",
        "tasks/get",
        "tasks/cancel",
        "tasks/resubscribe",
        "tasks/pushNotificationConfig/get",
        "tasks/pushNotificationConfig/list",
        "tasks/pushNotificationConfig/delete",
        "agent/getAuthenticatedExtendedCard",
    }
)
HARMLESS: Final = _MCP | _A2A


def may_repeat(headers: Iterable[Header], body: bytes) -> bool:
    """Whether a POST with one of the `FIELDS` says by its JSON-RPC method that a repeat does no harm."""
    named: dict[bytes, list[bytes]] = {MCP_VERSION: [], MCP_METHOD: [], b"content-type": []}
    for name, value in headers:
        if name in named:
            named[name].append(value)
    versions, methods = named[MCP_VERSION], named[MCP_METHOD]
    if len(versions) > 1 or len(methods) > 1:
        return False
    if versions and methods and _checks(versions[0]):
        return methods[0].decode("latin-1") in HARMLESS
    kinds = [kind.split(b";", 1)[0].strip().lower() for kind in named[b"content-type"]]
    return kinds == [b"application/json"] and len(body) <= MOST_PARSED and _is_harmless(body)


def is_rpc(method: str, headers: Iterable[Header], body: bytes) -> bool:
    """Whether a request is one of MCP or A2A: a POST that names their version, or whose body does."""
    if method != "POST":
        return False
    return any(name in _VERSIONS for name, _ in headers) or b'"jsonrpc"' in body[:MOST_PARSED]


def rpc_error(body: bytes, code: str, message: str) -> bytes:
    """An error of the router in JSON-RPC's shape. body: of the request. code: one of the router's."""
    error = {"code": _ERROR, "message": message, "data": {"code": code}}
    reply = {"jsonrpc": "2.0", "id": _id(body), "error": error}
    return json.dumps(reply, separators=(",", ":")).encode()


def _id(body: bytes) -> str | int | None:
    """The id of a request; None if it has none, is a batch, or is longer than what is parsed."""
    try:
        found: object = json.loads(body) if len(body) <= MOST_PARSED else None
    except (ValueError, RecursionError):
        return None
    members = cast("dict[str, object]", found) if isinstance(found, dict) else {}
    ident = members.get("id")
    return ident if isinstance(ident, str) or type(ident) is int else None


def _checks(revision: bytes) -> bool:
    """Whether servers of this revision, a date, compare `Mcp-Method` with the body."""
    year, month, day = revision[:4], revision[4:7], revision[7:]
    is_date = (len(month), len(day)) == (3, 3) and month[:1] == day[:1] == b"-"
    return is_date and (year + month[1:] + day[1:]).isdigit() and revision >= _CHECKED


def _is_harmless(body: bytes) -> bool:
    try:
        # As text: `json` would take UTF-16 and UTF-32 too, which JSON-RPC messages of MCP must not be.
        found: object = json.loads(body.decode(), object_pairs_hook=_members)
    except (ValueError, RecursionError):
        return False
    messages = cast("list[object]", found) if isinstance(found, list) else [found]
    return bool(messages) and all(_may(message) for message in messages)


def _members(pairs: Sequence[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("A member has the name of another one.")
    return found


def _may(message: object) -> bool:
    if not isinstance(message, dict):
        return False
    members = cast("dict[str, object]", message)
    method = members.get("method")
    return members.get("jsonrpc") == "2.0" and isinstance(method, str) and method in HARMLESS
