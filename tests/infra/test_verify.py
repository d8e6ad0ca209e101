"""`up` succeeds only when every function serves what was deployed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

from infra.errors import StaleBuildError
from infra.verify import LIMIT_S, LONGEST_PAUSE_S, Clock, reported, wait_for_build

NEW = json.dumps({"status": "ok", "build": "new"})
OLD = json.dumps({"status": "ok", "build": "old"})


@dataclass(slots=True)
class Time:
    """A clock that moves only when somebody sleeps."""

    now: float = 0.0
    pauses: list[float] = field(default_factory=list[float])

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds

    @property
    def clock(self) -> Clock:
        return Clock(now=lambda: self.now, sleep=self.sleep)


def answers(*replies: str | Exception) -> Callable[[str], str]:
    """Gives the replies in turn, the last one for ever."""

    def given() -> Iterator[str | Exception]:
        yield from replies
        while True:
            yield replies[-1]

    source = given()

    def get(url: str) -> str:
        assert url == "http://agent/health"
        reply = next(source)
        if isinstance(reply, Exception):
            raise reply
        return reply

    return get


def test_the_expected_build_is_accepted_at_once() -> None:
    """No pause when all is well."""
    time = Time()
    wait_for_build("agent on aws/eu-west-1", "http://agent", "new", answers(NEW), time.clock)
    assert time.pauses == []


def test_a_cloud_gets_time_to_switch_over() -> None:
    """Refused connections, errors and the old build are waited out, at growing pauses."""
    time = Time()
    get = answers(ConnectionRefusedError("refused"), "<html>", OLD, OLD, NEW)
    wait_for_build("agent on aws/eu-west-1", "http://agent", "new", get, time.clock)
    assert len(time.pauses) == 4
    assert time.pauses == sorted(time.pauses)


@pytest.mark.parametrize(
    ("reply", "found"),
    [
        (OLD, "found build old"),
        (ConnectionRefusedError("refused"), "found no answer (refused)"),
        ("<html>", "found a reply that is not JSON"),
        ("[]", "found a reply without a build"),
        ('{"build": null}', "found a reply without a build"),
    ],
)
def test_a_function_that_serves_something_else_fails_the_deploy(reply: str | Exception, found: str) -> None:
    """Named: the cloud, what was expected, what was found; after about a minute, not for ever."""
    time = Time()
    with pytest.raises(StaleBuildError) as caught:
        wait_for_build("router on azure/westeurope", "http://agent", "new", answers(reply), time.clock)
    for part in ("router on azure/westeurope", "expected build new", found, "http://agent/health"):
        assert part in str(caught.value)
    assert LIMIT_S - LONGEST_PAUSE_S <= time.now <= LIMIT_S


def test_a_build_that_is_called_like_a_problem_is_still_a_build() -> None:
    """Words for problems and build ids are not mixed up."""
    assert reported("http://agent", answers('{"build": "no answer"}')) == "build no answer"
