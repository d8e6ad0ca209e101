"""Tests of the header fields that the router forwards."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.net import fields
from router.net.errors import InvalidRequest
from skyfleet.origin import Origin

pytestmark = pytest.mark.pure


def test_only_a_valid_request_id_is_copied() -> None:
    """A request id is a token of at most 128 bytes."""
    assert fields.request_id([(b"x-request-id", b"a-1")]) == b"a-1"
    for value in (b"", b"a b", b"a" * 129, "ä".encode()):
        assert fields.request_id([(b"x-request-id", value)]) is None


@given(st.binary(max_size=40), st.binary(max_size=40))
def test_no_header_field_can_add_a_line(name: bytes, value: bytes) -> None:
    """An accepted field is one line of the request head."""
    try:
        fields.check_request("GET", b"/", [(name, value)])
    except InvalidRequest:
        return
    head = fields.request_head("GET", b"/", Origin(False, "h", 80), [(name, value)], 0)
    assert head.count(b"\n") == 4
    assert head.count(b"\r") == 4


def test_a_reply_without_a_body_is_forwarded_without_a_length() -> None:
    """For 204 and 304 a server in front of the router would wait for the body."""
    sent = [(b"content-length", b"5"), (b"etag", b"x")]
    assert fields.downstream(sent) == sent
    for status in (204, 304):
        assert fields.downstream(sent, status) == [(b"etag", b"x")]
