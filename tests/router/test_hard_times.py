"""Claims about hard times: documents that are missing, damaged or lie, a store that is down or slow, clocks
that jump, target lists that change or are far too long."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest

from router.config import Place, router_settings
from router.core.balance.balancer import Balancer
from router.core.errors import SettingsError
from router.core.health import snapshots
from router.core.health.last_seen import PROOF_S
from router.core.health.machine import BACKOFF_CAP_S, BACKOFF_S, Status
from router.core.health.snapshots import ProbeResult, Snapshot
from router.core.outcomes import Outcome
from router.core.policy import DEFAULT, EJECTION_CAP_S
from router.status import status
from router.sync.snapshots import SnapshotStore, object_name
from skyfleet.contract import Strategy
from skyfleet.objects import Found, Unchanged
from tests.router.core.health.test_machine import targets
from tests.router.support import ROOTS, eventually
from tests.router.sync.test_snapshots import Shelf

NOW = 1_000_000_000.0
YEAR = 365 * 86_400.0
DOWN = (False, False, False)


@dataclass
class Clock:
    """A clock that is set by hand."""

    now: float = NOW

    def __call__(self) -> float:
        return self.now


def balancer(clock: Clock, count: int = 3) -> Balancer:
    return Balancer(targets(*[1.0] * count), Strategy.ROUND_ROBIN, DEFAULT, clock, lambda: 0.5)


def document(*oks: bool, checker: str = "aws/r0", key: str = "aws/r0", at: float = NOW) -> Snapshot:
    seen = tuple(ProbeResult(at - len(oks) + n + 1, good) for n, good in enumerate(oks))
    return Snapshot(checker, at, {key: seen})


def dumped(one: Snapshot, **changes: object) -> bytes:
    return json.dumps({**snapshots.dump(one), **changes}).encode()


def told(one: Balancer, keeper: SnapshotStore) -> dict[str, Any]:
    return status(one, Place("aws", "r0", "b1"), keeper)


def state(one: Balancer, number: int = 0) -> Status:
    return one.fleet.health[f"aws/r{number}"].status


def served(one: Balancer, requests: int = 30) -> set[str]:
    """The targets that get some requests, all of which go well."""
    keys: set[str] = set()
    for _ in range(requests):
        choice = one.choose(())
        assert choice is not None
        one.report(choice.key, Outcome.SUCCESS)
        keys.add(choice.key)
    return keys


async def refresh(keeper: SnapshotStore, clock: Clock) -> None:
    """The refresh that requests six seconds later cause; the first may come before the last one is over."""
    clock.now += 6

    def done() -> bool:
        keeper.refresh_soon()
        return keeper.at == clock.now

    await eventually(done)


GOOD = document(*DOWN)
DAMAGED: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "not JSON"),
    "truncated": (dumped(GOOD)[:60], "not JSON"),
    "not text": (b"\xff\xfe\x00", "not JSON"),
    "nested": (b"[" * 200_000, "not JSON"),
    "huge": (b" " * 1_048_577, "1048577 bytes"),
    "a list": (b"[1, 2]", "JSON object"),
    "older": (dumped(GOOD, version=0), "version is 0"),
    "newer": (dumped(GOOD, version=2), "version is 2"),
    "version as text": (dumped(GOOD, version="1"), "version is '1'"),
    "from the future": (dumped(document(*DOWN, at=NOW + YEAR)), "in the future"),
    "of another checker": (dumped(document(*DOWN, checker="aws/r1")), "another checker"),
    "of no checker": (dumped(GOOD, checker="mars/r9"), "not one of"),
    "about no target": (dumped(document(True, True, key="mars/r9")), "None of its targets"),
    "endless": (dumped(GOOD, at=float("inf")), "expected a number"),
    "wrong types": (dumped(GOOD, results={"aws/r0": True}), "not a list"),
    "wrong inside": (dumped(GOOD, results=[None]), "JSON object"),
}


@pytest.mark.parametrize("case", DAMAGED)
async def test_of_a_document_that_cannot_be_believed_the_last_good_view_stays(case: str) -> None:
    """The status names it and why, until it is whole again."""
    data, why = DAMAGED[case]

    clock, shelf = Clock(), Shelf()
    one = balancer(clock)
    keeper = SnapshotStore(shelf, one, clock)
    shelf.objects[object_name("aws/r0")] = dumped(GOOD)
    await refresh(keeper, clock)
    assert state(one) is Status.DOWN
    shelf.objects[object_name("aws/r0")] = data
    for _ in range(2):
        await refresh(keeper, clock)
        assert state(one) is Status.DOWN
        assert why in told(one, keeper)["rejected"]["health/aws-r0.json"]
    shelf.objects[object_name("aws/r0")] = dumped(document(True, True, at=clock.now))
    await refresh(keeper, clock)
    assert state(one) is Status.SLOW_START
    assert told(one, keeper)["rejected"] == {}


async def test_a_write_replaces_a_damaged_document() -> None:
    """So it does not stay damaged."""
    clock, shelf = Clock(), Shelf()
    keeper = SnapshotStore(shelf, balancer(clock), clock)
    shelf.objects[object_name("aws/r0")] = b'{"version"'
    assert await keeper.save(GOOD)
    assert snapshots.parse(json.loads(shelf.objects[object_name("aws/r0")]), ("aws/r0",), NOW) == GOOD


async def test_documents_that_are_gone_leave_what_was_known() -> None:
    """Until it is too old to have a say; then traffic judges."""
    clock, shelf = Clock(), Shelf()
    one = balancer(clock)
    keeper = SnapshotStore(shelf, one, clock)
    shelf.objects[object_name("aws/r0")] = dumped(GOOD)
    await refresh(keeper, clock)
    shelf.objects.clear()
    await refresh(keeper, clock)
    assert (keeper.state, state(one)) == ("ok", Status.DOWN)
    clock.now += DEFAULT.fresh_s
    assert "aws/r0" in served(one)
    assert told(one, keeper)["checkers"][0]["fresh"] is False


class Partly(Shelf):
    """A bucket with one object that cannot be read, in a way that was not foreseen."""

    async def get(self, name: str, tag: str | None = None) -> Found | Unchanged | None:
        if name == object_name("aws/r1"):
            raise RuntimeError("a surprise")
        return await super().get(name, tag)


async def test_one_object_that_cannot_be_read_does_not_hide_the_others() -> None:
    """Whatever the reason is; it is said, and the rest is folded in."""
    clock, shelf = Clock(), Partly()
    one = balancer(clock)
    keeper = SnapshotStore(shelf, one, clock)
    shelf.objects[object_name("aws/r0")] = dumped(GOOD)
    await refresh(keeper, clock)
    assert state(one) is Status.DOWN
    assert (keeper.state, keeper.reason) == ("down", "health/aws-r1.json: a surprise")


async def test_a_store_that_is_down_or_slow_is_said_and_the_router_decides_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Traffic goes on and ejects what fails; when the store is back, so are the documents."""
    monkeypatch.setattr("router.sync.snapshots.SAVE_S", 0.05)

    clock, shelf = Clock(), Shelf()
    one = balancer(clock)
    keeper = SnapshotStore(shelf, one, clock)
    for trouble, words in (("broken", "on fire"), ("hang", "did not answer")):
        if trouble == "broken":
            shelf.broken = True
        else:
            shelf.broken = False
            shelf.hang.clear()
        await refresh(keeper, clock)
        assert keeper.state == "down"
        assert words in keeper.reason
        assert keeper.reason.count("health/") == 3
        assert await keeper.save(GOOD) is False
        assert served(one) == {"aws/r0", "aws/r1", "aws/r2"}
    for _ in range(3):
        one.report("aws/r1", Outcome.FAILURE)
    assert served(one) == {"aws/r0", "aws/r2"}
    shelf.hang.set()
    shelf.objects[object_name("aws/r1")] = dumped(document(*DOWN, checker="aws/r1", key="aws/r2"))
    await refresh(keeper, clock)
    assert told(one, keeper)["store"]["state"] == "ok"
    assert told(one, keeper)["targets"][2]["checkers_down"] == 1


async def test_a_router_of_many_targets_names_only_some_of_what_failed() -> None:
    """A bucket that is down fails alike for each."""
    clock, shelf = Clock(), Shelf()
    shelf.broken = True
    keeper = SnapshotStore(shelf, balancer(clock, 50), clock)
    await refresh(keeper, clock)
    assert keeper.reason.endswith("; and 47 more")
    assert len(keeper.reason) < 400


def test_a_replayed_document_has_no_effect() -> None:
    """Older than what is known, or the same again: no status changes."""
    clock = Clock()
    one = balancer(clock)
    one.fold([document(*DOWN, at=NOW - 20), document(True, True, at=NOW - 10)])
    assert state(one) is Status.HEALTHY
    before = one.fleet.health
    one.fold([document(*DOWN, at=NOW - 40)])
    one.fold([document(*DOWN, at=NOW - 20), document(True, True, at=NOW - 10)])
    assert dict(one.fleet.health) == dict(before)


async def test_documents_of_another_target_list_change_only_what_is_known_here() -> None:
    """About targets that are gone: left out. Of a checker that is gone: not read. New targets serve."""
    clock, shelf = Clock(), Shelf()
    old = Snapshot("aws/r0", NOW, {**GOOD.results, "aws/gone": GOOD.results["aws/r0"]})
    shelf.objects[object_name("aws/r0")] = dumped(old)
    shelf.objects[object_name("aws/gone")] = dumped(document(*DOWN, checker="aws/gone"))
    one = balancer(clock, 4)
    keeper = SnapshotStore(shelf, one, clock)
    await refresh(keeper, clock)
    assert [state(one, number) for number in range(4)] == [Status.DOWN] + [Status.UNKNOWN] * 3
    assert served(one) == {"aws/r1", "aws/r2", "aws/r3"}
    assert told(one, keeper)["rejected"] == {}
    assert [each["checker"] for each in told(one, keeper)["checkers"]] == ["aws/r0"]


def test_a_checker_that_lies_is_not_believed_alone_against_own_traffic() -> None:
    """While real requests succeed there, its word is counted in the status and changes nothing."""
    clock = Clock()
    one = balancer(clock)
    keeper = SnapshotStore(None, one, clock)
    for _ in range(20):
        clock.now += 1
        assert served(one) == {"aws/r0", "aws/r1", "aws/r2"}
        one.fold([document(*DOWN, at=clock.now, key=f"aws/r{number}") for number in range(3)])
    assert {each["state"] for each in told(one, keeper)["targets"]} == {"healthy"}
    assert [each["checkers_down"] for each in told(one, keeper)["targets"]] == [1, 1, 1]


def test_a_lone_checker_is_believed_where_traffic_shows_nothing() -> None:
    """Without requests, or with failed ones, it is the only evidence."""
    clock = Clock()
    quiet = balancer(clock)
    quiet.fold([document(*DOWN)])
    assert state(quiet) is Status.DOWN
    stopped = balancer(clock)
    served(stopped)
    clock.now += PROOF_S + 1
    stopped.fold([document(*DOWN, at=clock.now)])
    assert state(stopped) is Status.DOWN


def test_a_checker_that_lies_is_outvoted_by_one_other_and_two_are_believed() -> None:
    """More than half, whatever traffic says; so one never decides."""
    clock = Clock()
    one = balancer(clock)
    one.fold([document(*DOWN), document(True, True, checker="aws/r1")])
    assert state(one) is Status.HEALTHY
    served(one)
    clock.now += 10
    one.fold([document(*DOWN, at=clock.now), document(*DOWN, checker="aws/r1", at=clock.now)])
    assert state(one) is Status.DOWN


@pytest.mark.parametrize("at_once", [True, False])
def test_a_checker_that_lies_does_not_decide_beside_one_that_has_begun_only_now(at_once: bool) -> None:
    """One good look of the other is enough to keep the target in, whichever reports first."""
    clock = Clock()
    one = balancer(clock)
    honest, faulty = document(True, checker="aws/r1"), document(*DOWN)
    for news in [[faulty, honest]] if at_once else [[honest], [faulty]]:
        one.fold(news)
    assert state(one) is Status.UNKNOWN
    assert "aws/r0" in served(one)


@pytest.mark.parametrize("jump", [-YEAR, -3_600.0, -90.0, -1.0, 3_600.0, YEAR])
def test_a_clock_that_jumps_locks_no_target_out_for_longer_than_the_cap(jump: float) -> None:
    """Ejected, resting and down targets all serve again in time, whatever the clock was set to."""
    clock = Clock()
    one = balancer(clock, 4)
    served(one)
    one.report("aws/r0", Outcome.UNRESPONSIVE)
    one.report("aws/r1", Outcome.RATE_LIMITED, retry_after_s=YEAR)
    clock.now += PROOF_S + 1
    one.fold([document(*DOWN, at=clock.now, key="aws/r2")])
    assert served(one) <= {"aws/r0", "aws/r3"}
    clock.now += jump
    served(one)
    clock.now += EJECTION_CAP_S
    assert served(one, 100) == {f"aws/r{number}" for number in range(4)}


def test_after_the_clock_was_set_back_new_documents_are_believed_again() -> None:
    """What was told from a future that is none any more does not hide them."""
    clock = Clock(NOW + YEAR)
    one = balancer(clock)
    one.fold([document(True, True, at=clock.now)])
    clock.now = NOW
    one.fold([document(*DOWN, at=NOW)])
    assert state(one) is Status.DOWN
    assert one.fleet.snapshots["aws/r0"].at == NOW


@pytest.mark.parametrize("asked", [YEAR, float("inf"), float("nan"), -5.0, 0.0, None])
def test_a_retry_after_of_a_year_is_a_minute(asked: float | None) -> None:
    """And one that is none is a second."""
    clock = Clock()
    one = balancer(clock)
    one.report("aws/r0", Outcome.RATE_LIMITED, retry_after_s=asked)
    assert served(one) == {"aws/r1", "aws/r2"}
    assert state(one) is Status.UNKNOWN
    clock.now += BACKOFF_CAP_S if asked and asked > 0 else BACKOFF_S
    assert "aws/r0" in served(one)


def test_thousands_of_targets_are_a_clear_mistake() -> None:
    """One line that says how many there are and how many there may be."""
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
