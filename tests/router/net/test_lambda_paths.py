"""Tests of the path that an agent behind Lambda's adapter gets."""

from __future__ import annotations

import pytest

from router.net.lambda_paths import without_dot_segments

pytestmark = pytest.mark.pure


@pytest.mark.parametrize(
    ("sent", "passed_on"),
    [
        (b"/", b"/"),
        (b"/a/./b/../c", b"/a/c"),
        (b"/a/%2e%2E/b", b"/b"),
        (b"/a/.%2e/b/%2e", b"/b/"),
        (b"/..", b"/"),
        (b"/../..", b"/"),
        (b"/a/..", b"/"),
        (b"/a/b/..", b"/a/"),
        (b"/a/.", b"/a/"),
        (b"/a//../b", b"/a/b"),
        (b"/a/%2F../b", b"/a/%2F../b"),
        (b"/.well-known/x", b"/.well-known/x"),
        (b"/a/...", b"/a/..."),
        (b"/caf%C3%A9//x", b"/caf%C3%A9//x"),
    ],
)
def test_dot_segments_are_removed_as_by_browsers(sent: bytes, passed_on: bytes) -> None:
    """Encoded ones too, and nothing else changes."""
    assert without_dot_segments(sent) == passed_on
