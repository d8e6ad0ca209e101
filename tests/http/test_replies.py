"""Each hostile reply of the corpus to the router on its own server."""

from __future__ import annotations

import json

import pytest

from bench.http import judge
from bench.http.cases import Fails, HostileReply, message
from bench.http.corpus import REPLIES
from bench.http.fuzz.targets import replied
from bench.http.wire import Script, converse
from skyfleet.http1 import head as head_module
from tests.http.support import running

_PATIENCE_S = 60.0


@pytest.mark.parametrize("case", REPLIES, ids=lambda case: case.name)
def test_a_hostile_reply_reaches_the_client_as_a_strict_reading_gives_or_not_at_all(
    case: HostileReply,
) -> None:
    """Wrong bytes are the agent's bug, told after one attempt; missing ones lead to another target."""
    asked = message(case.method.encode() + b" /reply HTTP/1.1", b"Host: agent.example")
    with running(targets=3) as setup:
        setup.upstream.script = Script(case.writes, case.close)
        talk = converse(setup.port, (asked,), patience_s=_PATIENCE_S, methods=[case.method])
        found = judge.result(talk, setup.upstream.take())
    assert judge.reply_faults(case, found) == []
    if not isinstance(case.expected, Fails):
        assert len(found.requests) == 1
    elif case.expected.agents_fault:
        assert json.loads(found.replies()[0].body)["error"]["code"] == "invalid-response"
        assert len(found.requests) == 1
    else:
        assert len(found.requests) == 3


def test_a_head_that_comes_byte_by_byte_is_not_looked_at_as_a_whole_each_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An agent that sent 57 kB in single bytes cost the router 22 s of CPU time."""
    looks: list[bytes] = []
    real = head_module._check_limits  # pyright: ignore[reportPrivateUsage]

    def look(head: bytes, *, routed: bool) -> None:
        looks.append(head)
        real(head, routed=routed)

    monkeypatch.setattr(head_module, "_check_limits", look)
    fields = b"".join(b"X-%d: %b\r\n" % (n, b"y" * 600) for n in range(90))
    events = replied(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n" + fields + b"\r\nhi", 1, closes=False)
    assert (events[0][0], events[-1]) == (200, "end")
    assert len(looks) < 100


def test_the_corpus_is_large_and_its_names_are_unique() -> None:
    """The table and the failing tests name a case."""
    assert len(REPLIES) >= 25
    assert len({case.name for case in REPLIES}) == len(REPLIES)
    assert all(case.rests_on for case in REPLIES)
