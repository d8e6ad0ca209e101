"""Claims about the messages of `/ws`: what is read, what is refused, what is written."""

from __future__ import annotations

import json
from typing import Any

import pytest

from router.core.errors import CallerError
from router.websocket import messages
from router.websocket.messages import BadMessage, parse, request_of
from skyfleet.asgi import Header

BAD: list[tuple[str, str]] = [
    ("", "JSON"),
    ("{", "JSON"),
    ("[" * 100_000, "JSON"),
    ('{"type": "request", "id": "1", "body": NaN}', "JSON"),
    ("[]", "object"),
    ('"request"', "object"),
    ("{}", "type"),
    ('{"type": "subscribe", "id": "1"}', "type"),
    ('{"type": "request"}', "id"),
    ('{"type": "request", "id": 1}', "id"),
    ('{"type": "request", "id": ""}', "id"),
    (json.dumps({"type": "request", "id": "x" * 129}), "id"),
    ('{"type": "cancel"}', "id"),
    ('{"type": "resume"}', "session"),
    ('{"type": "resume", "session": "s"}', "answers"),
    ('{"type": "resume", "session": "s", "answers": {"a": -1}}', "seq"),
    ('{"type": "resume", "session": "s", "answers": {"a": true}}', "seq"),
    ('{"type": "resume", "session": "s", "answers": {"": 1}}', "seq"),
]


@pytest.mark.parametrize(("text", "named"), BAD)
def test_a_message_that_cannot_be_read_closes_the_connection(text: str, named: str) -> None:
    """With 4400 and a reason that fits into a close frame."""
    with pytest.raises(BadMessage) as caught:
        parse(text)
    assert caught.value.code == 4400
    assert named in caught.value.reason
    assert len(caught.value.reason.encode()) <= 123


def test_each_kind_of_message_is_read() -> None:
    """Ids are the client's own strings."""
    asked = parse('{"type": "request", "id": "é", "path": "/invoke"}')
    assert isinstance(asked, messages.Ask)
    assert (asked.id, asked.members["path"]) == ("é", "/invoke")
    cancel, resume = (
        parse('{"type": "cancel", "id": "a"}'),
        parse('{"type": "resume", "session": "s", "answers": {"a": 0}}'),
    )
    assert isinstance(cancel, messages.Cancel)
    assert cancel.id == "a"
    assert isinstance(resume, messages.Resume)
    assert (resume.session, resume.answers) == ("s", {"a": 0})
    assert isinstance(parse('{"type": "ping"}'), messages.Ping)


REQUESTS: list[tuple[dict[str, Any], tuple[str, bytes, bytes, dict[bytes, bytes]]]] = [
    (
        {"path": "/invoke", "body": {"a": 1}},
        (
            "POST",
            b"/invoke",
            b'{"a":1}',
            {b"accept": b"text/event-stream", b"content-type": b"application/json"},
        ),
    ),
    (
        {"path": "/x?q=%41", "method": "GET", "headers": {"Accept": "text/plain"}},
        ("GET", b"/x?q=%41", b"", {b"accept": b"text/plain"}),
    ),
    (
        {"path": "/", "body": "a line", "headers": {"content-type": "text/plain"}},
        ("POST", b"/", b"a line", {b"accept": b"text/event-stream", b"content-type": b"text/plain"}),
    ),
    (
        {"path": "/", "body": "a line"},
        (
            "POST",
            b"/",
            b'"a line"',
            {b"accept": b"text/event-stream", b"content-type": b"application/json"},
        ),
    ),
    (
        {"path": "/", "body": None},
        ("POST", b"/", b"null", {b"accept": b"text/event-stream", b"content-type": b"application/json"}),
    ),
]


@pytest.mark.parametrize(("members", "expected"), REQUESTS)
def test_a_message_becomes_a_request(
    members: dict[str, Any], expected: tuple[str, bytes, bytes, dict[bytes, bytes]]
) -> None:
    """JSON and event streams are the defaults; a field of the message replaces them."""
    asked = request_of({"type": "request", "id": "1", **members})
    assert (asked.method, asked.target, asked.body, dict(asked.headers)) == expected


@pytest.mark.parametrize(
    "members",
    [
        {},
        {"path": 1},
        {"path": "invoke"},
        {"path": "/é"},
        {"path": "/health"},
        {"path": "/ws"},
        {"path": "/api/control?x"},
        {"path": "/", "method": "TRACE"},
        {"path": "/", "method": "post"},
        {"path": "/", "method": ["POST"]},
        {"path": "/", "headers": []},
        {"path": "/", "headers": {"a": 1}},
        {"path": "/", "headers": {"a b": "1"}},
        {"path": "/", "headers": {"a": "1\r\nb: 2"}},
        {"path": "/", "headers": {"a": "\u20ac"}},
        {"path": "/", "headers": {"Content-Length": "1"}},
        {"path": "/", "headers": {"Transfer-Encoding": "chunked"}},
        {"path": "/", "headers": {"Host": "other"}},
        {"path": "/", "bodies": 1},
    ],
)
def test_a_mistake_in_a_request_is_an_error_of_its_id(members: dict[str, Any]) -> None:
    """400 with the mistake, so the connection stays for the other requests."""
    with pytest.raises(CallerError) as caught:
        request_of({"type": "request", "id": "1", **members})
    assert caught.value.status == 400


@pytest.mark.parametrize(
    ("members", "status"),
    [
        ({"path": "/" + "x" * 16_384}, 414),
        ({"path": "/", "headers": {f"x-{number}": "1" for number in range(99)}}, 431),
        ({"path": "/", "headers": {"x": "y" * 16_384}}, 431),
        ({"path": "/", "headers": {f"x-{number}": "y" * 16_000 for number in range(5)}}, 431),
    ],
)
def test_a_larger_head_than_over_http_is_refused(members: dict[str, Any], status: int) -> None:
    """Each agent's server would refuse it, and each would be blamed for that."""
    with pytest.raises(CallerError) as caught:
        request_of({"type": "request", "id": "1", **members})
    assert caught.value.status == status


@pytest.mark.parametrize(
    "members",
    [
        {"path": "/" + "x" * 16_383},
        {"path": "/", "headers": {f"x-{number}": "1" for number in range(98)}},
        {"path": "/", "headers": {"x": "y" * 16_383}},
    ],
)
def test_a_head_up_to_the_limits_is_read(members: dict[str, Any]) -> None:
    """With the two fields that a request has by default."""
    assert len(request_of({"type": "request", "id": "1", **members}).headers) <= 100


def test_json_of_agents_is_passed_on_as_it_was_written() -> None:
    """Digits, order and repeated members stay; other text becomes a string; other bytes are refused."""
    head: list[Header] = [(b"vary", b"a"), (b"vary", b"b"), (b"set-cookie", b"c"), (b"x", b"\xe9")]
    body = b'{"n": 1.10, "n": 123456789012345678901234567890, "e": 1e999}'
    told = messages.whole("i", 1, 200, head, body)
    assert body in told
    assert json.loads(told)["headers"] == {"vary": "a, b", "x": "é"}
    assert json.loads(messages.whole("i", 1, 204, [], b""))["status"] == 204
    assert "body" not in json.loads(messages.whole("i", 1, 204, [], b""))
    assert json.loads(messages.event('"', 3, "delta", b"[DONE]", "7")) == {
        "type": "event",
        "id": '"',
        "seq": 3,
        "event": "delta",
        "event_id": "7",
        "data": "[DONE]",
    }
    assert json.loads(messages.event("i", 3, "", b"NaN", ""))["data"] == "NaN"
    with pytest.raises(UnicodeDecodeError):
        messages.whole("i", 1, 200, [], b"\xff")
