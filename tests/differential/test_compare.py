"""The comparison finds what differs: a suite that cannot fail shows nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.differential import compare
from tests.differential.client import Got
from tests.differential.model import Header
from tests.differential.recorder import Seen

pytestmark = pytest.mark.pure

SEEN = Seen(b"PUT", b"/e?a", b"HTTP/1.1", ((b"x-a", b"1"), (b"x-b", b"2")), b"abc", "length", ())
GOT = Got(200, b"OK", ((b"etag", b"1"), (b"content-length", b"3")), b"abc", "length", (), (), in_step=True)


@pytest.mark.parametrize(
    "through",
    [
        replace(SEEN, method=b"put"),
        replace(SEEN, target=b"/e"),
        replace(SEEN, version=b"HTTP/1.0"),
        replace(SEEN, body=b"ab"),
        replace(SEEN, problem="it broke off"),
        replace(SEEN, framing="chunked"),
        replace(SEEN, fields=SEEN.fields[::-1]),
        replace(SEEN, fields=SEEN.fields[:1]),
        replace(SEEN, fields=(*SEEN.fields, (b"x-forwarded-for", b"10.0.0.1"))),
    ],
)
def test_a_changed_request_is_found(through: Seen) -> None:
    """Whatever it is."""
    assert list(compare.requests(SEEN, through))


@pytest.mark.parametrize(
    "through",
    [
        replace(GOT, status=201),
        replace(GOT, reason=b"Okay"),
        replace(GOT, body=b"ab"),
        replace(GOT, framing="chunked"),
        replace(GOT, trailers=((b"x-a", b"1"),)),
        replace(GOT, interim=((b"HTTP/1.1 103 Early Hints", ()),)),
        replace(GOT, in_step=False),
        replace(GOT, fields=GOT.fields[:1]),
        replace(GOT, fields=((b"etag", b"2"), *GOT.fields[1:])),
        replace(GOT, fields=(*GOT.fields, (b"server", b"uvicorn"))),
    ],
)
def test_a_changed_reply_is_found(through: Got) -> None:
    """Whatever it is."""
    assert list(compare.replies(GOT, through))


def test_documented_fields_may_differ() -> None:
    """What the router writes itself, and a date where the agent gave none."""
    own: tuple[Header, ...] = ((b"host", b"target"), (b"x-request-id", b"1"), (b"x-skyfleet-signature", b"2"))
    assert not list(compare.requests(SEEN, replace(SEEN, fields=(*SEEN.fields, *own))))
    told: tuple[Header, ...] = ((b"x-skyfleet-target", b"aws/r0"), (b"date", b"now"))
    assert not list(compare.replies(GOT, replace(GOT, fields=(*GOT.fields, *told))))


def test_a_date_of_the_agent_may_not_change() -> None:
    """It belongs to the reply, which may be older than this exchange."""
    dated = replace(GOT, fields=(*GOT.fields, (b"date", b"then")))
    assert list(compare.replies(dated, replace(GOT, fields=(*GOT.fields, (b"date", b"now")))))
