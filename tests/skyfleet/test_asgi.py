"""Tests of the shared ASGI helpers."""

from __future__ import annotations

import math

import pytest

from skyfleet.asgi import json_bytes

pytestmark = pytest.mark.pure


def test_json_is_utf8_and_escapes_only_lone_surrogates() -> None:
    """All clouds send the same bytes."""
    assert json_bytes({"a": "ä"}) == '{"a":"ä"}'.encode()
    assert json_bytes(["\ud800"]) == b'["\\ud800"]'
    with pytest.raises(ValueError, match="JSON"):
        json_bytes(math.nan)
