"""Tests of the router's settings."""

from __future__ import annotations

import json

import pytest

from router.config import RouterSettings, router_settings
from router.core.errors import SettingsError
from tests.router.support import CALM, ROOTS, closed_url, settings

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


def read(**environ: str) -> RouterSettings:
    return settings([closed_url()], policy=CALM, repeatable=True, **environ)


def test_what_the_deployment_knows_of_the_fleet_is_read() -> None:
    """A router that was started by hand knows neither."""
    found = read(SKYFLEET_AGENT_KIND="generator", SKYFLEET_CHECKERS="aws/r0,gcp/r2")
    assert (found.agent_kind, found.checkers) == ("generator", ("aws/r0", "gcp/r2"))
    unknown = read()
    assert (unknown.agent_kind, unknown.checkers) == ("", ())


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("SKYFLEET_AGENT_KIND", "lambda", "function, generator, asgi"),
        ("SKYFLEET_CHECKERS", "aws", "aws/eu-west-1,gcp/us-east1"),
        ("SKYFLEET_CHECKERS", "aws/r0,", "aws/eu-west-1,gcp/us-east1"),
        ("SKYFLEET_CHECKERS", "aws/r0/x", "aws/eu-west-1,gcp/us-east1"),
    ],
)
def test_a_fact_of_the_deployment_that_cannot_be_is_a_mistake(key: str, value: str, expected: str) -> None:
    """With what was found and what is expected."""
    with pytest.raises(SettingsError) as caught:
        read(**{key: value})
    assert f"{key}: got '{value}', expected" in str(caught.value)
    assert expected in str(caught.value)
