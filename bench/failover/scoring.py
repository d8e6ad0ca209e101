"""Compute an entry of the scoreboard from the client's outcomes and the targets' journals.

Rule: pure. Times are seconds from the first request. `MEANINGS` defines each figure, also on the page.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

from bench.failover.load import PATIENCE_S, Outcome, Request
from bench.failover.scenarios import TARGETS, Scenario
from bench.failover.shapes import fails_everywhere
from bench.quantiles import quantile

MEANINGS: Final[Mapping[str, str]] = {
    "sent": "requests of the scenario, without those that fail at each target",
    "lost": f"requests that may be repeated and got no complete good reply within {PATIENCE_S:g} s "
    "(a stream without its final event is lost)",
    "lost_unrepeatable": "the same for requests that must not be repeated; no router can save all of them",
    "wrong_repeats": "executions beyond the first of requests without an Idempotency-Key, counted at the "
    "targets; nothing allows them, except where agents are declared repeatable",
    "keyed_repeats": "the same for requests with an Idempotency-Key, which allows repeats: retries after a "
    "failed execution, resumed streams, and hedges, whose loser is stopped after it began. The targets here "
    "store no key; this project's agents execute a key at most once in each cloud",
    "p50_ms, p99_ms": "latency of the good replies to requests sent during the fault",
    "p99_normal_ms": "p99 before the fault",
    "detection_ms": "from the fault to the end of the last second in which more than 5 % of the requests "
    "failed or took three times the p99 before the fault, or the broken target got more than 15 % of the "
    "attempts; 0: no such second; never: not before the fault ended",
    "recovery_ms": "from the heal until the healed target has at least half of its former share of the "
    "attempts in one second; never: not within the scenario",
    "wrongly_out_s": "time in which a target without a fault of its own got no attempt for over a second, "
    "from the fault to the end of the scenario, summed over such targets (s)",
    "least_share": "of such targets the one that kept the least: its share of first attempts during the "
    "fault, divided by that before",
    "extra_share": "attempts beyond the first of each request, per request sent",
}
# Width and step of the windows for detection and recovery.
_WINDOW_S: Final = 1.0
_STEP_S: Final = 0.1
_FAILED_SHARE: Final = 0.05
_BROKEN_SHARE: Final = 0.15
# With a third of the traffic a target gets 13 requests in a second, so chance makes no such gap.
_GAP_S: Final = 1.0
# A window with fewer requests is no evidence.
_LEAST: Final = 5
_SLOW_FACTOR: Final = 3.0
# The first connections are slow, and the last requests before the fault may overlap it.
_WARM_S: Final = 0.5
_BEFORE_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class Record:
    """One line of a target's journal. event: received, executed or abandoned."""

    at_s: float
    event: str
    request_id: str
    target: int


def parse_journal(text: str, target: int, started: float) -> list[Record]:
    """The records of one target; a partial last line is ignored. started: time of the first request (s)."""
    records: list[Record] = []
    for line in text.splitlines():
        match line.split():
            case [at, event, request_id]:
                records.append(Record(float(at) - started, event, request_id, target))
            case _:
                continue
    return records


def score(
    scenario: Scenario,
    router: str,
    outcomes: Sequence[Outcome],
    records: Sequence[Record],
    *,
    declared: bool = False,
) -> dict[str, Any]:
    """The entry of one router in one scenario. declared: its agents are declared repeatable, so that each
    repeat counts as allowed."""
    outcomes = [o for o in outcomes if not is_doomed(scenario, o.request)]
    ids = {o.request.request_id for o in outcomes}
    records = [record for record in records if record.request_id in ids]  # without the warm-up
    received = sorted(
        (record.at_s, record.target, record.request_id) for record in records if record.event == "received"
    )
    during = [o for o in outcomes if scenario.fault_s <= o.request.at_s < scenario.heal_s and not o.failure]
    normal = [
        o for o in outcomes if _WARM_S <= o.request.at_s < scenario.fault_s - _BEFORE_S and not o.failure
    ]
    latencies = [1e3 * o.latency_s for o in during]
    p99_normal = percentile([1e3 * o.latency_s for o in normal], 99)
    lost = [o for o in outcomes if o.failure]
    served = [(at, target) for at, target, _ in received]
    if scenario.routers:
        served = [(o.request.at_s, o.router) for o in outcomes if o.router >= 0]
    unkeyed = repeats(outcomes, records, keyed=False)
    return {
        "scenario": scenario.name,
        "router": router,
        "sent": len(outcomes),
        "lost": sum(o.request.repeatable for o in lost),
        "wrong_repeats": 0 if declared else unkeyed,
        "p50_ms": percentile(latencies, 50),
        "p99_ms": percentile(latencies, 99),
        "detection_ms": detection_ms(scenario, outcomes, served, p99_normal),
        "recovery_ms": recovery_ms(scenario, served),
        "extra_share": round(extra(request_id for _, _, request_id in received) / len(outcomes), 4),
        "keyed_repeats": repeats(outcomes, records, keyed=True) + (unkeyed if declared else 0),
        "lost_unrepeatable": sum(not o.request.repeatable for o in lost),
        "p99_repeatable_ms": percentile([1e3 * o.latency_s for o in during if o.request.repeatable], 99),
        "p99_normal_ms": p99_normal,
        **kept(scenario, received),
        "attempts": len(received),
        "abandoned": sum(record.event == "abandoned" for record in records),
        "lag_ms": percentile([1e3 * o.late_s for o in outcomes], 99),
        "failures": dict(Counter(o.failure for o in lost).most_common(4)),
    }


def is_doomed(scenario: Scenario, request: Request) -> bool:
    """Whether a request fails at each target, whatever its router does; not judged, and in no figure."""
    # One that was sent just before the fault is at work when it begins.
    during = scenario.fault_s - _BEFORE_S <= request.at_s < scenario.heal_s
    return during and fails_everywhere(scenario.fails, request.request_id)


def kept(scenario: Scenario, received: Sequence[tuple[float, int, str]]) -> dict[str, float | None]:
    """What targets without a fault of their own kept of the traffic, as `MEANINGS` says."""
    well = [number for number in range(len(TARGETS)) if number not in scenario.broken]
    if scenario.routers or not well:
        return {"wrongly_out_s": None, "least_share": None}
    gaps = 0.0
    for number in well:
        at = [scenario.fault_s, *(at for at, target, _ in received if target == number), scenario.end_s]
        inside = sorted(one for one in at if scenario.fault_s <= one <= scenario.end_s)
        gaps += sum(after - before for before, after in pairwise(inside) if after - before > _GAP_S)
    first = {request_id: (at, target) for at, target, request_id in reversed(received)}.values()
    before = [target for at, target in first if at < scenario.fault_s]
    during = [target for at, target in first if scenario.fault_s <= at < scenario.heal_s]
    shares = [
        during.count(number) / len(during) / (before.count(number) / len(before))
        for number in well
        if during and number in before
    ]
    return {"wrongly_out_s": round(gaps, 1), "least_share": round(min(shares), 2) if shares else None}


def percentile(values: Sequence[float], percent: float) -> float | None:
    """The percentile by nearest rank, rounded to a tenth; None of no values."""
    return round(quantile(sorted(values), percent / 100), 1) if values else None


def repeats(outcomes: Sequence[Outcome], records: Iterable[Record], *, keyed: bool) -> int:
    """Executions beyond the first of each request, either with a key or without."""
    counted = {o.request.request_id for o in outcomes if o.request.repeatable is keyed}
    return extra(
        record.request_id for record in records if record.event == "executed" and record.request_id in counted
    )


def extra(ids: Iterable[str]) -> int:
    """Number of ids beyond the first of each."""
    return sum(count - 1 for count in Counter(ids).values())


Served = Sequence[tuple[float, int]]


def detection_ms(
    scenario: Scenario, outcomes: Sequence[Outcome], served: Served, p99_normal: float | None
) -> float | None:
    """Time from the fault to the end of the last bad second, as `MEANINGS` says."""
    slow_s = _SLOW_FACTOR * (p99_normal or 0.0) / 1e3
    failed_or_slow = [(o.request.at_s, bool(o.failure) or o.latency_s > slow_s) for o in outcomes]
    # The share of broken targets is no evidence when all are broken, or when the router is.
    watch_share = scenario.healthy_left and not scenario.routers
    bad = [(at, target in scenario.broken) for at, target in served] if watch_share else []

    def is_bad(since: float) -> bool:
        return _share(failed_or_slow, since) > _FAILED_SHARE or _share(bad, since) > _BROKEN_SHARE

    windows = _windows(scenario.fault_s, scenario.first_heal_s)
    last = max((since for since in windows if is_bad(since)), default=None)
    if last is None:
        return 0.0
    if last == windows[-1]:
        return None
    flags = [at for at, wrong in (*failed_or_slow, *bad) if wrong and last <= at < last + _WINDOW_S]
    return round(1e3 * (max(flags) - scenario.fault_s), 1)


def recovery_ms(scenario: Scenario, served: Served) -> float | None:
    """Time from the heal until each healed target has half of its former share; None without one."""

    def back(number: int, usual: float) -> float | None:
        hits = [(at, target == number) for at, target in served]
        return _first(
            lambda since: _share(hits, since) >= usual / 2, _windows(scenario.heal_s, scenario.end_s)
        )

    if not scenario.broken:
        return None
    times: list[float] = []
    for number in scenario.broken:
        before = [target == number for at, target in served if at < scenario.fault_s]
        usual = sum(before) / len(before) if before else 0.0
        since = back(number, usual) if usual else None
        if since is None:
            return None
        times.append(since)
    return round(1e3 * (max(times) - scenario.heal_s), 1)


def _windows(begin: float, end: float) -> list[float]:
    """Starts of the windows between two times (s), at least one."""
    count = round((end - begin - _WINDOW_S) / _STEP_S) + 1
    return [begin + index * _STEP_S for index in range(max(1, count))]


def _share(flags: Sequence[tuple[float, bool]], since: float) -> float:
    inside = [flag for at, flag in flags if since <= at < since + _WINDOW_S]
    return sum(inside) / len(inside) if len(inside) >= _LEAST else 0.0


def _first(holds: Callable[[float], bool], candidates: Iterable[float]) -> float | None:
    return next((one for one in candidates if holds(one)), None)
