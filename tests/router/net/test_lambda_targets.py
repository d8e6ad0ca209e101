"""Tests of the targets that are sent to agents on AWS Lambda."""

from __future__ import annotations

import pytest

from router.net.lambda_targets import carried

pytestmark = pytest.mark.pure


@pytest.mark.parametrize(
    ("target", "sent"),
    [
        (b"/invoke", b"/invoke"),
        (b'/a?q="<b>"', b"/a?q=%22%3Cb%3E%22"),
        (b"/a?q='{x}'|%22", b"/a?q='{x}'|%22"),
        (b'/"<x>', b'/"<x>'),
        (b'/"?', b'/"?'),
    ],
)
def test_what_the_adapter_fails_at_is_encoded(target: bytes, sent: bytes) -> None:
    """In a query alone: it encodes a path by itself."""
    assert carried(target) == sent
