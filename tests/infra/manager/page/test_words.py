"""Tests of words.py: states, numbers, times and the verdict as an operator reads them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from infra.manager.page import words
from tests.infra.manager.page.fakes import NOW, change, degraded, healthy, killed, minutes, target

pytestmark = pytest.mark.pure
STATES = ("healthy", "slow-start", "degraded", "ejected", "down", "cold", "draining", "unknown")


def test_every_state_of_the_status_has_a_colour_a_mark_and_a_meaning() -> None:
    """The list is that of `skyfleet status`; another state looks like an unknown one."""
    assert set(words.LOOKS) == set(STATES)
    assert all(look.mark and look.meaning for look in words.LOOKS.values())
    assert words.look("a newer state") == words.UNKNOWN


@pytest.mark.parametrize(
    ("fraction", "text"),
    [(None, "–"), (0, "0 %"), (0.004, "0.4 %"), (0.0949, "9.5 %"), (0.456, "46 %"), (1, "100 %")],  # noqa: RUF001
)
def test_a_fraction_is_a_percentage(fraction: float | None, text: str) -> None:
    """A small part is not shown as none."""
    assert words.percent(fraction) == text


def test_numbers_and_times_have_their_unit() -> None:
    """Unknown is a dash, a weight has no needless digits, a long time is coarse."""
    assert [words.milliseconds(value) for value in (None, 118.4, 1240, 30_000)] == [
        words.DASH,
        "118 ms",
        "1,240 ms",
        "30 s",
    ]
    assert [words.number(value) for value in (None, 1.0, 0.25, 12_345)] == [words.DASH, "1", "0.25", "12,345"]
    assert [words.duration(value) for value in (-3, 59, 60, 7199, 7200, 86_400 * 3)] == [
        "< 1 min",
        "< 1 min",
        "1 min",
        "119 min",
        "2 h",
        "3 days",
    ]
    assert [words.exact(value) for value in (8.23, 192)] == ["8.2 s", "3 min 12 s"]
    assert words.clock(NOW) == "14:13:20"
    assert words.day_and_clock(NOW - 86_400, NOW) == "2026-09-20 14:13:20"
    assert [words.names(keys) for keys in ([], ["a"], ["a", "b"], ["a", "b", "c"])] == [
        "",
        "a",
        "a and b",
        "a, b and c",
    ]


def test_a_reason_is_a_sentence() -> None:
    """Other parts give reasons without capital and full stop; a target's name is not one to change."""
    said = (
        "the job 7 has ended (done)",
        "aws/us-east-1 is removed",
        "Why?",
        " 3 operations are planned ",
        "",
    )
    assert [words.sentence(text) for text in said] == [
        "The job 7 has ended (done).",
        "aws/us-east-1 is removed.",
        "Why?",
        "3 operations are planned.",
        "",
    ]


def test_the_verdict_says_what_serves_and_what_does_not() -> None:
    """The first thing that is read: one sentence, and the colour of the worst."""
    assert words.verdict(None) == words.Verdict("idle", "No router has answered yet.")
    assert words.verdict(healthy()) == words.Verdict("good", "All 3 targets are healthy.")
    assert words.verdict(killed()) == words.Verdict("bad", "aws/eu-west-1 is down. 2 of 3 targets serve.")
    assert words.verdict(degraded()).sentence == (
        "azure/westeurope is degraded. gcp/europe-west1 is draining. 2 of 3 targets serve."
    )
    two = change(killed(), "gcp/europe-west1", state="ejected")
    assert words.verdict(two).sentence.endswith("gcp/europe-west1 is ejected. 1 of 3 targets serves.")


def test_the_verdict_of_a_fleet_that_serves_nothing_is_bad() -> None:
    """All down, drained or down, no target, no router."""
    nothing = healthy()
    for key in ("aws/eu-west-1", "azure/westeurope", "gcp/europe-west1"):
        nothing = change(nothing, key, state="down")
    assert words.verdict(nothing) == words.Verdict(
        "bad", "No target serves: aws/eu-west-1, azure/westeurope and gcp/europe-west1 are down."
    )
    assert words.verdict(change(nothing, "aws/eu-west-1", state="draining")).tone == "bad"
    assert words.verdict(replace(nothing, targets=())).tone == "bad"
    silent = replace(healthy(), routers=tuple(replace(each, problem="no answer") for each in nothing.routers))
    assert words.verdict(silent).sentence.startswith("No router answers")


def test_problems_of_the_fleet_and_cold_targets_are_not_hidden_by_healthy_ones() -> None:
    """A cold target is not a fault, so it has no alarming colour."""
    assert words.verdict(replace(healthy(), problems=("config changed",))).tone == "warn"
    cold = words.verdict(change(healthy(), "aws/eu-west-1", state="cold"))
    assert cold == words.Verdict("idle", "aws/eu-west-1 is cold.")
    started = words.verdict(change(healthy(), "aws/eu-west-1", state="slow-start"))
    assert started == words.Verdict("warn", "aws/eu-west-1 is in slow start.")


def test_a_target_that_is_not_deployed_yet_is_no_fault() -> None:
    """While a job adds it, the others are what the verdict is about."""
    planned = "in the stack config, not deployed"
    coming = replace(target("aws", "us-east-1"), state="unknown", url="", planned=planned)
    seen = replace(healthy(), targets=(*healthy().targets, coming))
    assert words.verdict(seen) == words.Verdict(
        "good", "All 3 targets are healthy. aws/us-east-1 is not deployed yet."
    )
    assert words.verdict(replace(seen, targets=(coming,))).sentence == "aws/us-east-1 is not deployed yet."


def test_the_running_minute_is_left_out() -> None:
    """Its numbers would look like a collapse of the traffic."""
    last = minutes(3, until=NOW)[-1]
    assert words.complete([last], last.at + 59) == []
    assert words.complete([last], last.at + 60) == [last]
