"""Tests of the router's settings."""

from __future__ import annotations

import json

import pytest

from router.config import router_settings
from router.core.errors import SettingsError
from tests.router.support import ROOTS

pytestmark = pytest.mark.pure


def test_too_many_targets_are_one_short_mistake() -> None:
    """The message has the number of targets and the limit."""
    listed = [
        {"cloud": "aws", "region": f"r{number}", "url": "http://127.0.0.1:9"} for number in range(5_000)
    ]
    environ = {
        "SKYFLEET_CLOUD": "aws",
        "SKYFLEET_REGION": "r0",
        "SKYFLEET_TARGETS": json.dumps(listed),
        "SKYFLEET_ROOT_KEYS": ROOTS,
        "SKYFLEET_OPEN": "1",
    }
    with pytest.raises(SettingsError) as caught:
        router_settings(environ, "b1")
    assert [one for one in caught.value.mistakes if "5000 targets, expected at most 300" in one]
    assert len(str(caught.value)) < 1_000
