"""Tests of the end of a rollout: every function must serve the deployed build."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import pytest

from infra.config.model import Cloud
from infra.config.parse import parse_settings
from infra.errors import StaleBuildError
from infra.rollout import (
    FIRST_S,
    LOG_EVERY_S,
    LONGEST_PAUSE_S,
    MIN_FIRST_S,
    MIN_OLDER_S,
    OLDER_S,
    Clock,
    Function,
    Get,
    failure,
    limits,
    reported,
    wait_for_build,
)

FLEET = "0a1b2c3d"
NEW = json.dumps({"status": "ok", "build": "new", "fleet": FLEET})
OLD = json.dumps({"status": "ok", "build": "old", "fleet": FLEET})
FORBIDDEN = OSError("HTTP Error 403: Forbidden")


@dataclass(slots=True)
class Time:
    """A clock that moves only when something sleeps."""

    now: float = 0.0
    pauses: list[float] = field(default_factory=list[float])
    said: list[str] = field(default_factory=list[str])

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds

    @property
    def clock(self) -> Clock:
        return Clock(now=lambda: self.now, sleep=self.sleep)

    def wait(self, *replies: str | Exception, cloud: Cloud = "aws") -> None:
        asked = Function(cloud, f"agent on {cloud}/region", "http://agent", "new", FLEET)
        asyncio.run(wait_for_build(asked, answers(*replies), self.clock, self.said.append))


def answers(*replies: str | Exception) -> Get:
    """Return the replies in order, and the last one repeatedly."""

    def given() -> Iterator[str | Exception]:
        yield from replies
        while True:
            yield replies[-1]

    source = given()

    async def get(url: str) -> str:
        assert url == "http://agent/health"
        reply = next(source)
        if isinstance(reply, Exception):
            raise reply
        return reply

    return get


def test_the_expected_build_is_accepted_at_once() -> None:
    """There is neither a pause nor a message."""
    time = Time()
    time.wait(NEW)
    assert (time.pauses, time.said) == ([], [])


def test_the_wait_covers_the_switch_to_the_new_build() -> None:
    """Refused connections, errors and the old build are retried with growing pauses."""
    time = Time()
    time.wait(ConnectionRefusedError("refused"), "<html>", OLD, OLD, NEW)
    assert len(time.pauses) == 4
    assert time.pauses == sorted(time.pauses)


@pytest.mark.parametrize(
    ("reply", "found"),
    [
        (ConnectionRefusedError("refused"), "found no answer (refused)"),
        (FORBIDDEN, "found no answer (HTTP Error 403: Forbidden)"),
        ("<html>", "found a reply that is not JSON"),
        ("[]", "found a reply without a build"),
        ('{"build": null}', "found a reply without a build"),
    ],
)
def test_a_function_without_any_answer_has_the_time_of_a_first_deploy(
    reply: str | Exception, found: str
) -> None:
    """Then the error names the cloud, the expected build and the last answer."""
    time = Time()
    with pytest.raises(StaleBuildError) as caught:
        time.wait(reply, cloud="azure")
    for part in (
        "agent on azure/region",
        "expected build new of fleet 0a1b2c3d",
        found,
        "http://agent/health",
    ):
        assert part in str(caught.value)
    assert FIRST_S - LONGEST_PAUSE_S <= time.now <= FIRST_S


def test_a_function_with_an_older_build_has_less_time() -> None:
    """It is running and needs only the switch."""
    time = Time()
    with pytest.raises(StaleBuildError, match="found build old of fleet 0a1b2c3d at"):
        time.wait(OLD)
    assert OLDER_S - LONGEST_PAUSE_S <= time.now <= OLDER_S


def test_the_time_of_an_older_build_begins_with_its_first_answer() -> None:
    """A function that was silent for 100 s has the same time as another."""
    time, late = Time(), 25
    with pytest.raises(StaleBuildError, match="found build old of fleet 0a1b2c3d at"):
        time.wait(*[FORBIDDEN] * late, OLD)
    begun = sum(time.pauses[:late])
    assert begun > 60
    assert begun + OLDER_S - LONGEST_PAUSE_S <= time.now <= begun + OLDER_S


def test_a_long_wait_is_reported() -> None:
    """Every half minute a line has the function, its last answer, the elapsed time and the limit."""
    time = Time()
    time.wait(*[FORBIDDEN] * 60, NEW, cloud="gcp")
    assert len(time.said) == int(time.now // LOG_EVERY_S)
    first = time.said[0]
    assert first.startswith(
        "waiting for the agent on gcp/region to serve build new of fleet 0a1b2c3d: so far no answer"
    )
    assert "of at most 300 s" in first


@pytest.mark.parametrize(
    ("cloud", "found", "said"),
    [
        ("azure", "no answer (timed out)", "[?defaultHostName=='x.azurewebsites.net'].id"),
        ("azure", "no answer (timed out)", "config/configreferences/appsettings/refresh"),
        ("gcp", "no answer (HTTP Error 403: Forbidden)", "sometimes 7 or more"),
    ],
)
def test_a_known_cause_of_a_clouds_silence_is_reported(cloud: Cloud, found: str, said: str) -> None:
    """Examples are a Key Vault reference that was read too early and a grant that is not effective yet."""
    asked = Function(cloud, f"agent on {cloud}/region", "https://x.azurewebsites.net", "new", FLEET)
    assert said in failure(asked, found, FIRST_S)
    assert said not in failure(asked, "build old of fleet 0a1b2c3d", FIRST_S)


async def test_a_build_id_with_the_text_of_a_problem_is_a_build_id() -> None:
    """Problems and build ids are distinguished by type."""
    reply = answers('{"build": "no answer", "fleet": "f"}')
    assert await reported("http://agent", reply) == "build no answer of fleet f"


@pytest.mark.parametrize(
    ("health", "found"),
    [
        ({"build": "new", "fleet": "ffffffff"}, "found build new of fleet ffffffff at"),
        ({"build": "new", "fleet": ""}, "found build new of no fleet at"),
        ({"build": "new"}, "found build new of no fleet at"),
    ],
)
def test_the_same_build_of_another_fleet_is_not_accepted(health: Mapping[str, str], found: str) -> None:
    """On one machine a port may pass from one fleet to another with the same sources."""
    with pytest.raises(StaleBuildError) as caught:
        Time().wait(json.dumps(health))
    for part in (found, "A function that is not of this fleet answers at that address."):
        assert part in " ".join(str(caught.value).split())


@pytest.mark.parametrize(
    ("delays", "expected"),
    [(1, (FIRST_S, OLDER_S)), (0.5, (FIRST_S / 2, OLDER_S / 2)), (0, (MIN_FIRST_S, MIN_OLDER_S))],
)
def test_the_wait_for_emulated_clouds_is_shorter(delays: float, expected: tuple[float, float]) -> None:
    """It is scaled with the emulator's delays."""
    assert limits(delays) == expected


def test_a_real_stack_has_the_delays_of_its_clouds() -> None:
    """The emulator's default does not apply."""
    clouds = {"aws": {"regions": ["eu-west-1"]}}
    emulated = parse_settings({"skyfleet:clouds": clouds, "skyfleet:emulator": {"delays": 0.25}}, "local")
    assert (parse_settings({"skyfleet:clouds": clouds}, "prod").delays, emulated.delays) == (1, 0.25)
