"""Claims about which requests of MCP and A2A may be repeated, as tables."""

from __future__ import annotations

import json

import pytest

from router.core.policy import DEFAULT
from router.core.request.failures import error_reply, may_have_run
from router.core.request.limits import is_repeatable, request_limits
from router.core.request.options import NONE, RequestOptions, parse_options
from router.core.request.rpc import HARMLESS, MOST_PARSED, is_rpc, may_repeat, rpc_error
from skyfleet.asgi import Header

pytestmark = pytest.mark.pure

JSON: Header = (b"content-type", b"application/json")
BOTH: Header = (b"accept", b"application/json, text/event-stream")
OLD: Header = (b"mcp-protocol-version", b"2025-11-25")
NEW: Header = (b"mcp-protocol-version", b"2026-07-28")
A2A: Header = (b"a2a-version", b"1.0")


def message(method: object, **members: object) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, **members}).encode()


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ("initialize", True),
        ("ping", True),
        ("server/discover", True),
        ("tools/list", True),
        ("tools/call", False),
        ("resources/list", True),
        ("resources/templates/list", True),
        ("resources/read", True),
        ("prompts/list", True),
        ("prompts/get", True),
        ("completion/complete", True),
        ("subscriptions/listen", True),
        ("tasks/get", True),
        ("tasks/update", False),
        ("notifications/initialized", True),
        ("notifications/cancelled", True),
        ("sampling/createMessage", False),
        ("vendor/anything", False),
        ("TOOLS/LIST", False),
        ("SendMessage", False),
        ("SendStreamingMessage", False),
        ("message/send", False),
        ("message/stream", False),
        ("GetTask", True),
        ("ListTasks", True),
        ("CancelTask", True),
        ("SubscribeToTask", True),
        ("CreateTaskPushNotificationConfig", False),
        ("DeleteTaskPushNotificationConfig", True),
        ("tasks/pushNotificationConfig/set", False),
        ("tasks/cancel", True),
        (7, False),
        (None, False),
        (["tools/list"], False),
    ],
)
def test_the_method_decides(method: object, expected: bool) -> None:
    """In the body, and where a method is a name also in the field of the newer revision."""
    assert may_repeat([JSON, OLD], message(method)) is expected
    if isinstance(method, str):
        assert may_repeat([NEW, (b"mcp-method", method.encode())], b"") is expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ([NEW, (b"mcp-method", b"tools/list")], True),
        ([NEW, (b"mcp-method", b"tools/call")], False),
        ([(b"mcp-protocol-version", b"2027-01-15"), (b"mcp-method", b"tools/list")], True),
        # Nothing compares the field with the body in these revisions, so the body decides.
        ([OLD, (b"mcp-method", b"tools/list")], False),
        ([(b"mcp-protocol-version", b"DRAFT-2026"), (b"mcp-method", b"tools/list")], False),
        ([(b"mcp-protocol-version", b""), (b"mcp-method", b"tools/list")], False),
        ([(b"mcp-protocol-version", b"2026-7-281"), (b"mcp-method", b"tools/list")], False),
        ([(b"mcp-protocol-version", b"2026-07-28 "), (b"mcp-method", b"tools/list")], False),
        ([(b"mcp-protocol-version", b"2026-07-27"), (b"mcp-method", b"tools/list")], False),
        ([(b"mcp-method", b"tools/list")], False),
        ([NEW], False),
        # Repeated fields may be read as either.
        ([NEW, (b"mcp-method", b"tools/list"), (b"mcp-method", b"tools/call")], False),
        ([NEW, OLD, (b"mcp-method", b"tools/list")], False),
        ([NEW, (b"mcp-method", b"tools/list\xff")], False),
    ],
)
def test_the_field_is_believed_where_a_server_must_check_it(fields: list[Header], expected: bool) -> None:
    """The body of each request calls a tool."""
    assert may_repeat([JSON, *fields], message("tools/call")) is expected


LISTS, CALLS = message("tools/list"), message("tools/call")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (LISTS, True),
        (b" \r\n" + LISTS + b"\n", True),
        (b"[" + LISTS + b"," + LISTS + b"]", True),
        (b"[" + LISTS + b"," + CALLS + b"]", False),
        (b"[]", False),
        (b"[[" + LISTS + b"]]", False),
        (b"", False),
        (b"null", False),
        (b'"tools/list"', False),
        (LISTS[:-1], False),
        (LISTS + LISTS, False),
        (LISTS.replace(b'"2.0"', b'"1.0"'), False),
        (b'{"method": "tools/list"}', False),
        (b'{"jsonrpc": "2.0", "id": 1, "result": {}}', False),
        # Parsers differ in which of two members counts.
        (b'{"jsonrpc": "2.0", "method": "tools/call", "method": "tools/list"}', False),
        (b'{"jsonrpc": "2.0", "method": "tools/call", "meth\\u006fd": "tools/list"}', False),
        (b'{"jsonrpc": "2.0", "method": "tools/list", "Method": "tools/call"}', True),
        (LISTS.decode().encode("utf-16"), False),
        (LISTS.decode().encode("utf-8-sig"), False),
        (b'{"jsonrpc": "2.0", "method": "tools/list", "x": "\xff"}', False),
        (b'{"jsonrpc": "2.0", "method": "tools/list", "x": ' + b"[" * 20_000 + b"]" * 20_000 + b"}", False),
        (b'{"jsonrpc": "2.0", "method": "tools/list", "x": ' + b"1" * 5_000 + b"}", False),
        (LISTS + b" " * (MOST_PARSED - len(LISTS)), True),
        (LISTS + b" " * (MOST_PARSED - len(LISTS) + 1), False),
    ],
)
def test_a_body_that_can_be_read_in_two_ways_may_not_be_repeated(body: bytes, expected: bool) -> None:
    """It must be JSON-RPC 2.0 in UTF-8, small, and say one thing."""
    assert may_repeat([JSON, OLD], body) is expected


@pytest.mark.parametrize(
    ("kinds", "expected"),
    [
        ([b"application/json"], True),
        ([b"Application/JSON; charset=utf-8"], True),
        ([b"application/a2a+json"], False),
        ([b"text/plain"], False),
        ([], False),
        ([b"application/json", b"text/plain"], False),
    ],
)
def test_only_json_is_parsed(kinds: list[bytes], expected: bool) -> None:
    """As its content type says, once."""
    assert may_repeat([OLD, *((b"content-type", kind) for kind in kinds)], LISTS) is expected


@pytest.mark.parametrize(
    ("fields", "looks"),
    [
        ([BOTH], True),
        ([(b"accept", b"text/event-stream,application/json;q=0.9")], True),
        ([OLD], True),
        ([NEW, (b"mcp-method", b"tools/list")], True),
        ([A2A], True),
        ([BOTH, (b"x-skyfleet-heartbeat", b"off")], True),
        ([], False),
        ([JSON], False),
        ([(b"accept", b"*/*")], False),
        ([(b"accept", b"application/json")], False),
        ([(b"accept", b"text/event-stream")], False),
        ([(b"mcp-name", b"add")], False),
        ([(b"idempotency-key", b"k1")], False),
    ],
)
def test_a_request_is_looked_at_only_if_its_fields_are_those_of_mcp_or_a2a(
    fields: list[Header], looks: bool
) -> None:
    """All other requests of a fleet cost nothing for this."""
    options = parse_options(fields, DEFAULT)
    assert options.rpc is looks
    assert not options.harmless


@pytest.mark.parametrize(
    ("options", "hedge", "repeatable", "retries_only"),
    [
        (RequestOptions(rpc=True, harmless=True), "auto", True, False),
        (RequestOptions(rpc=True), "auto", False, True),
        (RequestOptions(rpc=True, key=b"k1"), "auto", True, True),
        (NONE, "auto", False, True),
    ],
)
def test_a_harmless_method_is_treated_like_an_idempotent_one(
    options: RequestOptions, hedge: str, repeatable: bool, retries_only: bool
) -> None:
    """It may be hedged too; a key allows retries only."""
    assert is_repeatable("POST", options) is repeatable
    limits = request_limits("POST", options, DEFAULT, 3, 0.0, 0.1)
    assert (limits.repeatable, limits.retries_only) == (repeatable, retries_only)
    assert limits.policy.hedge == hedge


def test_no_method_that_runs_something_is_in_the_table() -> None:
    """A new entry that is no read is a decision of its own."""
    running = {"call", "send", "stream", "create", "set", "update", "Send", "Create"}
    named = {part for method in HARMLESS for part in method.replace("Message", "").split("/")}
    assert not {part for part in named if part in running}


@pytest.mark.parametrize(
    ("method", "fields", "body", "expected"),
    [
        ("POST", [OLD], b"", True),
        ("POST", [NEW], CALLS, True),
        ("POST", [A2A], b"{}", True),
        ("POST", [BOTH], CALLS, True),
        # Another API may have the same Accept, and has errors of its own shape.
        ("POST", [BOTH], b'{"messages": []}', False),
        ("POST", [BOTH], b" " * MOST_PARSED + CALLS, False),
        ("GET", [OLD], b"", False),
        ("DELETE", [OLD], b"", False),
    ],
)
def test_errors_have_the_shape_of_the_protocol(
    method: str, fields: list[Header], body: bytes, expected: bool
) -> None:
    """A client of JSON-RPC shows the text of an error in JSON-RPC's shape only."""
    assert is_rpc(method, fields, body) is expected


@pytest.mark.parametrize(
    ("body", "ident"),
    [
        (CALLS, 1),
        (b'{"jsonrpc": "2.0", "id": "a1", "method": "x"}', "a1"),
        (b'{"jsonrpc": "2.0", "method": "x"}', None),
        (b'{"jsonrpc": "2.0", "id": true}', None),
        (b'{"jsonrpc": "2.0", "id": 1.5}', None),
        (b'{"jsonrpc": "2.0", "id": [1]}', None),
        (b"[" + CALLS + b"]", None),
        (CALLS + b" " * MOST_PARSED, None),
        (b"{", None),
        (b"[" * 20_000, None),
        (b"\xff", None),
    ],
)
def test_an_error_in_json_rpc_has_the_id_of_its_request(body: bytes, ident: object) -> None:
    """And the router's words and code."""
    assert json.loads(rpc_error(body, "may-have-run", "Check it.")) == {
        "jsonrpc": "2.0",
        "id": ident,
        "error": {"code": -32000, "message": "Check it.", "data": {"code": "may-have-run"}},
    }


def test_an_error_in_json_rpc_has_the_fields_of_any_other() -> None:
    """Status, advice on repeats and type are the same; the length is its own."""
    fail = may_have_run("aws/r0", "reset")
    headers, body = error_reply(fail, 5, b"{}")
    assert (body, dict(headers)[b"content-length"]) == (b"{}", b"2")
    plain = [one for one in error_reply(fail, 5)[0] if one[0] != b"content-length"]
    assert [one for one in headers if one[0] != b"content-length"] == plain


def test_other_fields_say_nothing_of_a_repeat() -> None:
    """A client sends many."""
    assert may_repeat([BOTH, JSON, OLD], message("tools/list"))
    assert not may_repeat([BOTH, JSON, OLD], message("tools/call"))
