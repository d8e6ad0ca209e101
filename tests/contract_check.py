"""How a reply is compared with its case of the HTTP contract.

Some headers belong to a cloud, its platform front end or its server and are not compared. A stream must come
in pieces: its first chunk and its last one are apart, in the time of the client.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from skyfleet import cors
from tests.asgi import Reply
from tests.contract_cases import Case

# Headers that a cloud, its platform front end or its server may add or change. All others are compared.
MAY_DIFFER: Final = frozenset(
    {
        "alt-svc",
        "connection",
        "date",
        "endpoint-load-metrics",  # the load of this instance
        "keep-alive",
        "request-context",
        "server",
        "strict-transport-security",
        "traceparent",
        "transfer-encoding",
        "via",
        # A function URL of Lambda renames the agent's own fields of these names.
        "x-amzn-remapped-connection",
        "x-amzn-remapped-content-length",
        "x-amzn-remapped-date",
        "x-amzn-remapped-server",
        "x-amzn-errortype",  # Lambda answers 413 itself, before the agent gets the 6 MB
        "x-amzn-requestid",
        "x-amzn-trace-id",
        "x-azure-ref",
        "x-cloud-trace-context",
        "x-skyfleet-cold",  # whether this is the first reply of an instance
    }
)
READABLE: Final = {name.decode(): value.decode() for name, value in cors.READABLE}
# A stalled client reads all chunks at once. The chance that it is stalled at each attempt is small.
TRIES: Final = 5


def check(case: Case, reply: Reply) -> None:
    """Raise AssertionError if the reply differs from the case."""
    assert reply.status == case.status, (case.name, reply.status, reply.body[:500])
    body = re.sub(rb'"created":\d{6,}', b'"created":0', reply.body)
    if case.reply is not None:
        assert body == case.reply, case.name
    for text in case.mentions:
        assert text in body.decode(), (case.name, body[:500])
    expected = dict(case.reply_headers)
    if reply.header("content-length") is not None and case.method != "HEAD":
        expected["content-length"] = str(len(reply.body))
    found = {
        # A function URL of Lambda renames the challenge.
        name.removeprefix("x-amzn-remapped-") if name.endswith("-www-authenticate") else name: value
        for name, value in reply.headers
        if name not in MAY_DIFFER and name != "content-length"
    }
    expected.pop("content-length", None)
    if reply.status not in (401, 413):  # a router's business, and Lambda's own reply
        expected |= READABLE if reply.status >= 400 else {}
    elif reply.status == 413:
        found = {name: value for name, value in found.items() if name not in READABLE}
    if (renamed := reply.header("x-amzn-remapped-content-length")) is not None and case.method != "HEAD":
        assert renamed == str(len(reply.body)), case.name
    assert found == expected, case.name
    assert reply.complete, case.name
    if reply.status != 413:  # Lambda's own reply
        # The router distinguishes an agent's reply from a platform front end's by this field.
        assert (reply.header("endpoint-load-metrics") is not None) == (reply.status != 401), case.name
    assert _apart_s(reply) >= case.first_before_last_s, (case.name, reply.chunks)


def check_over_http(case: Case, ask: Callable[[], Reply]) -> None:
    """`check` the reply of `ask`, which is called again while the chunks of a stream come too close together.

    The client notes the moments, and a loaded machine may stall it. A server that holds a stream back until
    its end fails at every attempt.
    """
    reply = ask()
    for _ in range(TRIES - 1):
        if _apart_s(reply) >= case.first_before_last_s:
            break
        reply = ask()
    check(case, reply)


def _apart_s(reply: Reply) -> float:
    """The time between the first and the last chunk, in seconds."""
    return reply.chunks[-1][0] - reply.chunks[0][0] if reply.chunks else 0.0
