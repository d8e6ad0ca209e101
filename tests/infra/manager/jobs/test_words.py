"""The sentences of a job."""

from __future__ import annotations

import pytest

from infra.manager.errors import Conflict
from infra.manager.jobs import words
from infra.manager.jobs.progress import percent
from infra.operations.errors import PulumiFailed, SetupFailed
from tests.infra.manager.jobs.fakes import CREATE, TEXT

FAILED = "the deployment failed (pulumi ended with 255):\n"


@pytest.mark.parametrize(
    ("failure", "text"),
    [
        (
            PulumiFailed(
                f"{FAILED}  aws:lambda:Function (agent):\n    error: AccessDenied: no\nAll of it: x."
            ),
            "the deployment failed (pulumi ended with 255): aws:lambda:Function agent: AccessDenied: no",
        ),
        (
            PulumiFailed(
                f"{FAILED}  pulumi:pulumi:Stack (s):\n    error: update failed\n"
                "  gcp:storage:Bucket (b):\n    error: 503"
            ),
            "the deployment failed (pulumi ended with 255): gcp:storage:Bucket b: 503",
        ),
        (
            PulumiFailed(
                f"{FAILED}  pulumi:pulumi:Stack (s):\n    ImportError: no module x\n"
                "    error: an unhandled error occurred"
            ),
            "the deployment failed (pulumi ended with 255): ImportError: no module x",
        ),
        (
            PulumiFailed(
                f"{FAILED}  pulumi:pulumi:Stack (s):\n    error: Preflight failed; nothing was deployed:\n"
                "      - aws: too few. Raise the quota\n      - gcp: no"
            ),
            (
                "the deployment failed (pulumi ended with 255): Preflight failed; nothing was deployed: "
                "aws: too few. Raise the quota"
            ),
        ),
        (PulumiFailed("Pulumi was ended by signal 9."), "Pulumi was ended by signal 9"),
        (Conflict("the config was changed"), "the config was changed"),
        (PulumiFailed("x" * 900), "x" * 497 + "..."),
    ],
)
def test_a_failure_is_told_in_one_line_with_its_resource(failure: Exception, text: str) -> None:
    """The whole of it is an event of the job."""
    assert words.short(failure) == text


def test_what_is_left_of_a_region_is_named_up_to_a_number() -> None:
    """And what puts it right."""
    left = [f"aws:x name-{number}" for number in range(7)]
    text = words.not_rolled_back(CREATE, "503", left)
    assert "7 resources of aws/us-east-1 are left: aws:x name-0, " in text
    assert "name-4 and 2 more." in text
    assert "are left" not in words.not_rolled_back(CREATE, "503", [])


def test_an_invalid_config_has_no_targets() -> None:
    """A plan of it has no lines of its own."""
    assert words.targets(TEXT, "f", "dev") == {"aws/eu-west-1": 3, "gcp/europe-west1": 1}
    assert words.targets("config: [", "f", "dev") == {}
    assert words.targets("config: {}", "f", "dev") == {}


@pytest.mark.parametrize(
    ("done", "expected", "found"), [(0, 10, 25), (5, 10, 58), (30, 10, 92), (3, 0, None)]
)
def test_the_percentage_is_bounded(done: int, expected: int, found: int | None) -> None:
    """More operations than expected do not reach the end."""
    assert percent(done, expected) == found


def test_that_nothing_was_changed_is_said_once() -> None:
    """An agent that cannot be deployed says so itself."""
    agent = SetupFailed("The agent a:b cannot be deployed; nothing was changed: a.py:1: SyntaxError")
    assert words.unchanged(agent) == agent.message
    assert words.unchanged(Conflict("It has a router.")) == "It has a router. Nothing was changed"
