"""Tests of the failover scoreboard's figures, computed from the records of clients and targets."""

from __future__ import annotations

import pytest

from bench.failover import load, scoring
from bench.failover.load import Outcome, Request
from bench.failover.scenarios import SCENARIOS, Scenario
from bench.failover.scoring import Record

pytestmark = pytest.mark.pure

KILL = next(scenario for scenario in SCENARIOS if scenario.name == "kill")
GOOD_S = 0.05


def outcome(at: float, *, failure: str = "", latency: float = GOOD_S, repeatable: bool = True) -> Outcome:
    return Outcome(Request(at, f"id-{at:.3f}", repeatable, False), 0.0, latency, failure, 0)


def times(begin: float, end: float) -> list[float]:
    """Times at 40 per second."""
    return [begin + number / 40 for number in range(round(40 * (end - begin)))]


def record(at: float, target: int, event: str = "received") -> Record:
    return Record(at, event, f"id-{at:.3f}", target)


def spread(begin: float, end: float, targets: tuple[int, ...] = (0, 1, 2)) -> list[Record]:
    """One attempt at each of the times, round robin over the targets."""
    return [record(at, targets[number % len(targets)]) for number, at in enumerate(times(begin, end))]


WELL = [*spread(0, 4), *spread(4, 10, (0, 2)), *spread(10, 18)]


def entry(outcomes: list[Outcome], records: list[Record], scenario: Scenario = KILL) -> dict[str, object]:
    return scoring.score(scenario, "x", outcomes, records)


def test_a_scenario_without_failures_is_detected_and_recovered_at_once() -> None:
    """No request is lost, no attempt is extra, and both times are 0."""
    found = entry([outcome(at) for at in times(0, 18)], WELL)
    assert (found["sent"], found["lost"], found["extra_share"]) == (720, 0, 0.0)
    assert (found["detection_ms"], found["recovery_ms"]) == (0.0, 0.0)
    assert found["p99_ms"] == found["p99_normal_ms"] == 1e3 * GOOD_S


def test_requests_that_overlap_the_fault_are_not_normal() -> None:
    """A request sent just before the fault and answered after it does not count for the normal p99."""
    outcomes = [outcome(at, latency=6.0 if at > 3.9 else GOOD_S) for at in times(0, 10)]
    found = entry(outcomes, WELL)
    assert found["p99_normal_ms"] == 1e3 * GOOD_S
    assert found["detection_ms"] is None


def test_lost_requests_are_counted_apart_by_whether_they_are_retryable() -> None:
    """A router cannot retry a request with side effects after a truncated reply."""
    bad = [outcome(5.0, failure="status 502"), outcome(5.1, failure="cut", repeatable=False)]
    found = entry([outcome(1.0), *bad], [])
    assert (found["lost"], found["lost_unrepeatable"]) == (1, 1)


def test_a_repeat_is_wrong_only_where_the_side_effect_ran_twice() -> None:
    """An attempt that did not run is not counted, and a second run of a keyed request is counted apart."""
    once, keyed, refused = outcome(1.0, repeatable=False), outcome(2.0), outcome(3.0, repeatable=False)
    records = [
        record(1.0, 0, "executed"),
        record(1.0, 1, "executed"),
        record(2.0, 0, "executed"),
        record(2.0, 1, "executed"),
    ]
    records += [record(3.0, 0), record(3.0, 1), record(3.0, 1, "executed")]
    found = entry([once, keyed, refused], [*records, record(2.0, 2, "executed")])
    assert found["wrong_repeats"] == 1
    assert found["keyed_repeats"] == 2


def test_no_repeat_is_wrong_where_agents_are_declared_repeatable() -> None:
    """The declaration allows what a key allows elsewhere, so such repeats are counted as allowed ones."""
    runs = [record(1.0, 0, "executed"), record(1.0, 1, "executed")]
    found = scoring.score(KILL, "x", [outcome(1.0, repeatable=False)], runs, declared=True)
    assert (found["wrong_repeats"], found["keyed_repeats"]) == (0, 1)


def test_extra_counts_attempts_beyond_the_first_and_no_warm_up() -> None:
    """A request without an attempt does not offset a request with two."""
    found = entry(
        [outcome(1.0), outcome(2.0)], [record(1.0, 0), record(1.0, 1), record(9.9, 1), record(9.9, 2)]
    )
    assert (found["attempts"], found["extra_share"]) == (2, 0.5)


def test_detection_lasts_until_the_last_bad_second() -> None:
    """If requests fail for 1.5 s, the detection time is that of the last failed request."""
    outcomes = [
        outcome(at, failure="status 502" if 4 <= at < 5.5 and round(40 * at) % 3 == 0 else "")
        for at in times(0, 18)
    ]
    found = entry(outcomes, WELL)
    assert found["detection_ms"] == pytest.approx(1450, abs=60)


def test_one_slow_trial_request_is_not_detected() -> None:
    """A router has to try a broken target from time to time to notice its recovery."""
    outcomes = [outcome(at, latency=0.6 if at == 8.0 else GOOD_S) for at in times(0, 18)]
    assert entry(outcomes, [*WELL, record(8.001, 1)])["detection_ms"] == 0.0


def test_traffic_that_still_goes_to_the_broken_target_is_detected() -> None:
    """It counts even if no request fails."""
    records = [*spread(0, 6), *spread(6, 10, (0, 2)), *spread(10, 18)]
    assert entry([outcome(at) for at in times(0, 18)], records)["detection_ms"] == pytest.approx(
        2000, abs=160
    )


def test_failures_that_last_as_long_as_the_fault_are_never_detected() -> None:
    """The detection time is None, not the length of the fault."""
    outcomes = [outcome(at, failure="status 502" if 4 <= at < 10 else "") for at in times(0, 18)]
    assert entry(outcomes, WELL)["detection_ms"] is None


@pytest.mark.parametrize(("back", "expected"), [(13.0, 2600.0), (18.0, None)])
def test_recovery_waits_for_half_of_the_former_share(back: float, expected: float | None) -> None:
    """The share is measured over one second; the time is None if the scenario ends before."""
    records = [*spread(0, 4), *spread(4, back, (0, 2)), *spread(back, 18)]
    found = entry([outcome(at) for at in times(0, 18)], records)["recovery_ms"]
    assert found == (None if expected is None else pytest.approx(expected, abs=210))


def of_clients(scenario: Scenario, out: tuple[float, float] = (0.0, 0.0)) -> dict[str, object]:
    """The entry of a router that fails what fails at each target, and leaves target 1 alone for a while."""
    outcomes: list[Outcome] = []
    records: list[Record] = []
    for number, at in enumerate(times(0, 18)):
        one = outcome(at)
        doomed = scoring.is_doomed(scenario, one.request)
        outcomes.append(outcome(at, failure="status 500" if doomed else ""))
        left = out[0] <= at < out[1]
        records.append(record(at, (0, 2)[number % 2] if left else number % 3))
    return entry(outcomes, records, scenario)


@pytest.mark.parametrize(("name", "share"), [("poison", 0.25), ("tenant-bug", 0.25)])
def test_requests_that_fail_at_each_target_are_in_no_figure(name: str, share: float) -> None:
    """About a quarter of those during the fault; the others are judged, and no target was left out."""
    found = of_clients(next(one for one in SCENARIOS if one.name == name))
    assert found["sent"] == pytest.approx(720 - share * 40 * 6.5, abs=25)
    assert (found["lost"], found["detection_ms"], found["recovery_ms"]) == (0, 0.0, None)
    assert found["wrongly_out_s"] == 0.0
    assert found["least_share"] == pytest.approx(1.0, abs=0.25)


def test_a_target_that_gets_nothing_for_over_a_second_is_out() -> None:
    """It is counted until the end of the scenario, and only for targets without a fault of their own."""
    poison = next(one for one in SCENARIOS if one.name == "poison")
    assert of_clients(poison, (5.0, 8.0))["wrongly_out_s"] == pytest.approx(3.0, abs=0.3)
    assert of_clients(poison, (12.0, 18.0))["wrongly_out_s"] == pytest.approx(6.0, abs=0.3)
    assert of_clients(poison, (4.0, 10.0))["least_share"] == 0.0
    build = next(one for one in SCENARIOS if one.name == "bad-build")
    assert of_clients(build, (5.0, 8.0))["wrongly_out_s"] == 0.0


def test_where_no_healthy_target_is_left_none_is_wrongly_out() -> None:
    """Nor is one in the scenario of router instances."""
    for name in ("all-down", "router"):
        found = of_clients(next(one for one in SCENARIOS if one.name == name))
        assert (found["wrongly_out_s"], found["least_share"]) == (None, None)


def test_a_percentile_is_one_of_the_values() -> None:
    """A percentile is the smallest value that so many of the values do not exceed."""
    values = [float(number) for number in range(1, 101)]
    assert (scoring.percentile(values, 50), scoring.percentile(values, 99)) == (50.0, 99.0)
    assert (scoring.percentile([5.0], 99), scoring.percentile([], 99)) == (5.0, None)


def test_a_journal_cut_by_a_kill_loses_only_its_last_line() -> None:
    """A partial last entry is ignored, and times are relative to the first request."""
    records = scoring.parse_journal("100.5 received 4-00001\n100.6 executed 4-00001\n100.7 rec", 2, 100.0)
    assert [(round(one.at_s, 3), one.event, one.target) for one in records] == [
        (0.5, "received", 2),
        (0.6, "executed", 2),
    ]


def test_the_load_is_open_seeded_and_mixed_as_documented() -> None:
    """40 requests/s, of which 80 % are retryable and a third are streams; equal for equal seeds."""
    requests = load.schedule(1, 100.0)
    assert load.schedule(1, 100.0) == requests
    assert len({request.request_id for request in requests}) == len(requests) == pytest.approx(4000, rel=0.05)
    assert sum(request.repeatable for request in requests) / len(requests) == pytest.approx(0.8, abs=0.03)
    assert sum(request.stream for request in requests) / len(requests) == pytest.approx(1 / 3, abs=0.03)
    assert all(0 <= request.at_s < 100 for request in requests)


def test_every_scenario_heals_what_it_broke() -> None:
    """Each scenario is observed for long enough before, during and after its fault."""
    for scenario in SCENARIOS:
        assert scenario.steps[0].action != "heal"
        assert scenario.steps[-1].action == ("start" if scenario.routers else "heal")
        assert (
            scenario.fault_s
            == scenario.steps[0].at_s
            < scenario.first_heal_s
            <= scenario.heal_s
            == scenario.steps[-1].at_s
        )
        assert scenario.end_s - scenario.heal_s >= 8
