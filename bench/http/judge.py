"""What became of a case, and whether that is right.

Rules
- Right is what the corpus expects: a request that is refused or answered by the router reaches no agent; one
  that is passed on arrives with the method, target and body of a strict reading, framed by one Content-Length
  or without a body, and with no field but those of its own head and the router's.
- What the router passes on although a peer refuses it or reads another method, target or body is a finding,
  unless the case says why that can do no harm (`although`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.http.cases import (
    Cut,
    Fails,
    HostileReply,
    HostileRequest,
    Passed,
    Reaches,
    Refused,
)
from bench.http.corpus.fields import FORGED
from bench.http.wire import SENTINEL_TARGET, Conversation, Incomplete, Reply, Seen, Unreadable, read_request

# The fields that a router may add or set.
OWN = frozenset({b"host", b"content-length", b"x-request-id", b"x-request-start"})
OWN_PREFIX = b"x-skyfleet-"
_ABSOLUTE = re.compile(rb"^https?://[^/?]*")
_REPLY_FORGED = b"forged-by-an-agent"


@dataclass(frozen=True, slots=True)
class Result:
    """One contestant's part in a case. seen: by the upstream, without the sentinel."""

    talk: Conversation
    seen: tuple[Seen | Unreadable, ...]
    sentinel: bool

    @property
    def requests(self) -> list[Seen]:
        """Those that the upstream could read."""
        return [one for one in self.seen if isinstance(one, Seen)]

    def replies(self, methods: Sequence[str] = ()) -> list[Reply]:
        """To the case, without the sentinel's."""
        found = self.talk.replies(methods)
        return found[:-1] if self.sentinel and len(found) > 1 else found

    @property
    def reading(self) -> list[tuple[str, bytes, bytes]]:
        """Method, target and body of each request that reached the upstream."""
        return [(one.method, one.target, one.body) for one in self.requests]

    @property
    def meaning(self) -> list[tuple[str, bytes, bytes]]:
        """The same, where an absolute target stands for its path: HAProxy passes it on as it came."""
        return [(method, _ABSOLUTE.sub(b"", target) or b"/", body) for method, target, body in self.reading]


def result(talk: Conversation, seen: Sequence[Seen | Unreadable]) -> Result:
    """A result of what the client read and the upstream kept."""
    mine = [one for one in seen if not (isinstance(one, Seen) and one.target == SENTINEL_TARGET)]
    return Result(talk, tuple(mine), len(mine) != len(seen))


def faults(case: HostileRequest, found: Result) -> list[str]:
    """What is wrong with what this router did; empty: nothing."""
    said: list[str] = [f"the agent got {one}" for one in found.seen if isinstance(one, Unreadable)]
    passed = [one for one in case.expected if isinstance(one, Passed)]
    want = [(one.method, one.target, one.body) for one in passed]
    if found.reading != want:
        said.append(f"the agent got {_short(found.reading)} instead of {_short(want)}")
    else:
        heads = _heads(case.sent, len(passed))
        for one, seen, head in zip(passed, found.requests, heads, strict=False):
            said += _request_faults(one, seen, head)
    replies = found.replies([one.method for one in passed])
    statuses = [200 if isinstance(one, Passed) else one.status for one in case.expected]
    if [one.status for one in replies] != statuses:
        said.append(f"the client got {[one.status for one in replies]} instead of {statuses}")
    if case.expected and isinstance(case.expected[-1], Refused):
        if found.sentinel:
            said.append("the connection went on after a refusal")
        if not found.talk.closed:
            said.append("the connection stayed open after a refusal")
        if found.talk.reset:
            said.append("the client got a reset")
    for one, reply in zip(case.expected, replies, strict=False):
        if isinstance(one, Refused) and not reply.body.startswith(b'{"error":'):
            said.append(f"the refusal has the body {reply.body[:60]!r}")
    return said


def _heads(sent: bytes, count: int) -> list[Seen]:
    """The strictly read requests of these bytes, the first of them."""
    found: list[Seen] = []
    while len(found) < count:
        try:
            one, sent = read_request(sent.removeprefix(b"\r\n"))
        except (Unreadable, Incomplete):
            break
        found.append(one)
    return found


def _request_faults(want: Passed, seen: Seen, head: Seen) -> list[str]:
    said: list[str] = []
    for name, value in seen.fields:
        if FORGED in value and (name, value) not in want.fields:
            said.append(f"the agent got the forged field {name.decode()}")
        elif name not in OWN and not name.startswith(OWN_PREFIX) and (name, value) not in head.fields:
            said.append(f"the agent got a field that its head did not have: {name!r}: {value[:60]!r}")
    for name in {name for name, _ in want.fields}:
        wanted = [value for key, value in want.fields if key == name]
        if seen.values(name) != wanted:
            said.append(f"the agent got {seen.values(name)!r} as {name.decode()}, not {wanted!r}")
    folded = {name.replace(b"_", b"-") for name, _ in seen.fields}
    said += [f"the agent got {name.decode()}" for name in want.absent if name in folded]
    if seen.values(b"transfer-encoding") or seen.trailers:
        said.append("the agent got a chunked body")
    if len(seen.values(b"content-length")) > 1 or len(seen.values(b"host")) != 1:
        said.append("the agent got more than one length or host")
    return said


def findings(case: HostileRequest, results: Mapping[str, Result], own: str) -> list[str]:
    """What the peers refuse or read in another way although this router passes it on. own: its name."""
    if not results[own].requests or case.although:
        return []
    said: list[str] = []
    for name, found in results.items():
        if name == own:
            continue
        passed = len(results[own].requests)
        if len(found.requests) < passed:
            said.append(f"{name} refuses it")
        elif found.meaning[:passed] != results[own].meaning:
            said.append(f"{name} passes on {_short(found.reading)}")
    return said


def reply_faults(case: HostileReply, found: Result) -> list[str]:
    """What is wrong with what the client of this router got; empty: nothing."""
    replies = found.replies([case.method])
    if not replies:
        return ["the client got no reply"]
    reply, want = replies[0], case.expected
    said: list[str] = []
    if len(replies) > 1:
        said.append(f"the client got {len(replies)} replies")
    if any(_REPLY_FORGED in value for _, value in reply.fields):
        said.append("the client got a forged field")
    match want:
        case Reaches():
            said += _reaches_faults(want, reply)
        case Cut(status):
            if reply.status != status or reply.complete:
                said.append(f"the client got {reply.status}, complete: {reply.complete}")
        case Fails():
            if reply.status not in (502, 503, 504) or not reply.body.startswith(b'{"error":'):
                said.append(f"the client got {reply.status} {reply.body[:60]!r}")
    if found.talk.replies([case.method])[-1].body == b"poison":
        said.append("the next request got the poisoned reply")
    return said


def _reaches_faults(want: Reaches, reply: Reply) -> list[str]:
    said: list[str] = []
    if (reply.status, reply.body) != (want.status, want.body) or not reply.complete:
        said.append(f"the client got {reply.status} {reply.body[:60]!r}, complete: {reply.complete}")
    names = {name for name, _ in reply.fields}
    said += [f"the client got {name.decode()}" for name in want.absent if name in names]
    said += [f"the client did not get {field!r}" for field in want.fields if field not in reply.fields]
    return said


def cell(found: Result, case: HostileRequest) -> str:
    """A contestant's cell of the table of requests."""
    statuses = [str(one.status) if one.status > 0 else "no HTTP" for one in found.replies()]
    refused = [status for status in statuses if status != "200"]
    said: list[str] = []
    if found.requests:
        strict = [(one.method, one.target, one.body) for one in case.expected if isinstance(one, Passed)]
        same = found.reading == strict[: len(found.requests)]
        said.append("passes" if same and strict else f"passes {_short(found.reading)}")
    if any(isinstance(one, Unreadable) for one in found.seen):
        said.append("passes what a strict reader refuses")
    said += refused
    if not said:
        said.append("answers itself: 200" if statuses else "waits" if not found.talk.closed else "closes")
    if found.talk.reset:
        said.append("reset")
    return ", ".join(said)


def reply_cell(found: Result, method: str) -> str:
    """A contestant's cell of the table of replies."""
    replies = found.replies([method])
    if not replies:
        return "closes" if found.talk.closed else "waits"
    one = replies[0]
    if one.status <= 0:
        return "passes what a strict reader refuses"
    if one.status >= 500:
        return str(one.status)
    cut = "" if one.complete else ", truncated"
    return f"{one.status}, {len(one.body)} bytes{cut}"


def _short(reading: Sequence[tuple[str, bytes, bytes]]) -> str:
    if not reading:
        return "nothing"
    return "; ".join(
        f"{method[:20]} {target[:30].decode('latin-1')}" + (f" with {len(body)} bytes" if body else "")
        for method, target, body in reading
    )


def outcome(case: HostileRequest) -> str:
    """The expectation, for people."""
    if not case.expected:
        return "nothing"
    words = [
        "passes"
        if isinstance(one, Passed)
        else f"{one.status}"
        if isinstance(one, Refused)
        else f"own {one.status}"
        for one in case.expected
    ]
    if len(words) > 2 and len(set(words)) == 1:
        return f"{words[0]} x {len(words)}"
    return ", ".join(words)
