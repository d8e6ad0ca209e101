"""Tests of halfway.py: after a failed deployment the last lines say what runs where, and how to get back."""

from __future__ import annotations

import pytest

from infra.operations.halfway import now_running
from infra.operations.json_access import JsonObject

PLACES = ["aws/eu-west-1", "azure/westeurope", "gcp/europe-west1"]


def agents(**builds: str) -> list[JsonObject]:
    """What the agents report, by cloud."""
    return [
        {"cloud": cloud, "region": region, "build": builds[cloud]}
        for cloud, region in (place.split("/") for place in PLACES)
        if cloud in builds
    ]


ON = "`make up` goes on once the cause is mended."
BACK = (
    f"{ON} To go back to build old1, restore its files (`git stash`, or `git checkout` of its commit), then "
    "run `make up`."
)
NEW, OLD, NONE = agents(aws="new1"), agents(azure="old1"), agents()
CASES = [
    (NEW + agents(azure="old1", gcp="old1"), "{0} runs the new build new1; {1} and {2} run build old1", BACK),
    (agents(aws="old1", azure="old1", gcp="old1"), "{0}, {1} and {2} run build old1", ON),
    (agents(aws="new1", azure="new1", gcp="new1"), "{0}, {1} and {2} run the new build new1", BACK),
    (NEW + OLD, "{0} runs the new build new1; {1} runs build old1; {2} does not answer", BACK),
    (OLD, "{1} runs build old1; {0} and {2} do not answer", BACK),
    (NONE, "{0}, {1} and {2} do not answer", BACK),
]


@pytest.mark.parametrize(("answers", "state", "way"), CASES)
def test_the_last_lines_say_what_runs_where(answers: list[JsonObject], state: str, way: str) -> None:
    """By cloud and build, with the way on, and the way back where clouds differ."""
    told = now_running(PLACES, answers, "old1", "new1").splitlines()
    assert told == [f"The agents now: {state.format(*PLACES)}.", way]


def test_the_same_build_is_no_way_back() -> None:
    """A deployment that changed another thing than the agent."""
    told = now_running(PLACES, agents(aws="new1", azure="new1", gcp="new1"), "new1", "new1")
    assert told.endswith(ON)


def test_a_build_that_still_runs_is_the_way_back() -> None:
    """After two failures in a row the deployment before was no whole one."""
    answers = agents(aws="new1", azure="old1")
    assert "To go back to build old1" in now_running(PLACES, answers, "failed", "new1")
