"""Tests of the end of `up`: it waits for the first snapshot of each checker."""

from __future__ import annotations

from dataclasses import dataclass, field

from infra.operations.emulator import first_checks
from infra.operations.emulator.admin import EmulatorInfo
from infra.operations.emulator.first_checks import Clock, missing_checkers, sentence, wait_for_checkers
from infra.operations.stack.outputs import Outputs
from tests.infra.cli.fakes import Reply, Request, json_reply, serving

ALL = ("aws/eu-west-1", "azure/westeurope", "gcp/europe-west1")


@dataclass
class Time:
    """A clock that moves only when something sleeps."""

    now: float = 0.0
    news: list[set[str]] = field(default_factory=list[set[str]])

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    @property
    def clock(self) -> Clock:
        return Clock(lambda: self.now, self.sleep)

    def heard(self) -> set[str]:
        return self.news.pop(0) if len(self.news) > 1 else self.news[0]


def test_up_does_not_wait_for_checkers_with_a_snapshot() -> None:
    """A second `up` ends immediately."""
    time = Time(news=[set(ALL)])
    assert missing_checkers(time.heard, ALL, 10, time.clock) == []
    assert time.now == 0


def test_the_wait_ends_with_the_snapshot_of_the_last_checker() -> None:
    """It does not last until its limit."""
    time = Time(news=[set(), set(ALL[:1]), set(ALL)])
    assert missing_checkers(time.heard, ALL, 10, time.clock) == []
    assert time.now < 1


def test_a_silent_checker_is_named_after_the_limit() -> None:
    """`up` still succeeds."""
    time = Time(news=[set(ALL[:2])])
    assert missing_checkers(time.heard, ALL, 10, time.clock) == ["gcp/europe-west1"]
    assert 10 <= time.now < 11
    assert "gcp/europe-west1" in sentence(["gcp/europe-west1"], 10)
    assert "skyfleet logs --role checker" in sentence(["gcp/europe-west1"], 10)


def test_only_checkers_without_a_snapshot_are_fired() -> None:
    """The emulator fires them as their schedulers do; a checker with a stale snapshot is fired too."""
    fired: list[bytes] = []

    def answer(request: Request) -> Reply:
        if request.path == "/v1/schedules/run":
            fired.append(request.body)
            return json_reply({"schedules": []})
        checkers = [
            {"checker": "aws/eu-west-1", "fresh": True},
            {"checker": "gcp/europe-west1", "fresh": bool(fired)},
        ]
        return json_reply({"status": "ok", "router": {"strategy": "cost"}, "checkers": checkers})

    with serving(answer) as url:
        outputs = Outputs({"routerUrl": url}, frozenset())
        note = EmulatorInfo(1, url, "token", "", "")
        assert wait_for_checkers(outputs, note, ["aws/eu-west-1"], 0) == []
        assert fired == []
        assert wait_for_checkers(outputs, note, ["aws/eu-west-1", "gcp/europe-west1"], 0) == []
    assert fired == [b'{"cloud": "gcp"}']


def test_the_limit_is_a_few_seconds_above_one_run_of_a_checker() -> None:
    """A longer wait would look like a hang."""
    assert first_checks.GRACE_S <= 15
