"""Compute one line of the scoreboard from what clients saw and targets noted.

Rule: pure. Times are seconds from the first request. Each function documents its figure; for readers
docs/benchmarks/failover.md has the text of `MEANINGS`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from bench.failover.load import PATIENCE_S, Outcome
from bench.failover.rows import Row
from bench.quantiles import quantile

MEANINGS: Final[Mapping[str, str]] = {
    "sent": "requests of the row",
    "lost": f"of those that may be repeated: no whole good reply within {PATIENCE_S:g} s "
    "(a stream without its final event is lost)",
    "lost_unrepeatable": "the same of those that must not be repeated; a router cannot save all of them",
    "wrong_repeats": "runs of a side effect beyond the first, of requests without an Idempotency-Key, "
    "counted at the targets; nothing allows them",
    "keyed_repeats": "the same of requests with an Idempotency-Key, which allows them: retries of what had "
    "failed after it ran, streams that another target took up, and hedges, whose loser is stopped but had "
    "begun. The targets here remember no key; this project's agents run one at most once in each cloud",
    "p50_ms, p99_ms": "latency of the good replies to requests sent while the fault lasted",
    "p99_normal_ms": "the same before the fault",
    "detection_ms": "from the fault until the end of the last second in which more than 5 % of callers had "
    "trouble (lost, or slower than three times the p99 before the fault) or the broken target got more than "
    "15 % of the attempts; 0: no such second; none: until the fault ended",
    "recovery_ms": "from the healing until the healed target has at least half of its former share of the "
    "attempts in one second; none: not within the row",
    "extra_share": "attempts at targets beyond the first of each request, per request sent",
}
# The width and the step of the window in which detection and recovery are looked for.
_WINDOW_S: Final = 1.0
_STEP_S: Final = 0.1
_TROUBLE_SHARE: Final = 0.05
_TRIAL_SHARE: Final = 0.15
# A window of two requests proves nothing.
_LEAST: Final = 5
_SLOW_FACTOR: Final = 3.0
# The first connections are slower than all others, and the last requests before the fault may meet it.
_WARM_S: Final = 0.5
_BEFORE_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class Note:
    """A line of a target's journal. event: came, ran or left."""

    at_s: float
    event: str
    ident: str
    target: int


def parse_journal(text: str, target: int, started: float) -> list[Note]:
    """The notes of one target; a last line cut by a kill is left out."""
    notes: list[Note] = []
    for line in text.splitlines():
        match line.split():
            case [at, event, ident]:
                notes.append(Note(float(at) - started, event, ident, target))
            case _:
                continue
    return notes


def score(row: Row, router: str, outcomes: Sequence[Outcome], notes: Sequence[Note]) -> dict[str, Any]:
    """The line of the scoreboard for one router in one row."""
    idents = {o.ask.ident for o in outcomes}
    notes = [note for note in notes if note.ident in idents]  # not the warm-up
    came = sorted((note.at_s, note.target, note.ident) for note in notes if note.event == "came")
    during = [o for o in outcomes if row.fault_s <= o.ask.at_s < row.heal_s and not o.trouble]
    normal = [o for o in outcomes if _WARM_S <= o.ask.at_s < row.fault_s - _BEFORE_S and not o.trouble]
    latencies = [1e3 * o.latency_s for o in during]
    p99_normal = percentile([1e3 * o.latency_s for o in normal], 99)
    lost = [o for o in outcomes if o.trouble]
    served = [(at, target) for at, target, _ in came]
    if row.routers:
        served = [(o.ask.at_s, o.router) for o in outcomes if o.router >= 0]
    return {
        "fault": row.fault,
        "router": router,
        "sent": len(outcomes),
        "lost": sum(o.ask.repeatable for o in lost),
        "wrong_repeats": repeats(outcomes, notes, keyed=False),
        "p50_ms": percentile(latencies, 50),
        "p99_ms": percentile(latencies, 99),
        "detection_ms": detection_ms(row, outcomes, served, p99_normal),
        "recovery_ms": recovery_ms(row, served),
        "extra_share": round(extra(ident for _, _, ident in came) / len(outcomes), 4),
        "keyed_repeats": repeats(outcomes, notes, keyed=True),
        "lost_unrepeatable": sum(not o.ask.repeatable for o in lost),
        "p99_repeatable_ms": percentile([1e3 * o.latency_s for o in during if o.ask.repeatable], 99),
        "p99_normal_ms": p99_normal,
        "attempts": len(came),
        "abandoned": sum(note.event == "left" for note in notes),
        "lag_ms": percentile([1e3 * o.late_s for o in outcomes], 99),
        "troubles": dict(Counter(o.trouble for o in lost).most_common(4)),
    }


def percentile(values: Sequence[float], percent: float) -> float | None:
    """The nearest rank, to a tenth; None of nothing."""
    return round(quantile(sorted(values), percent / 100), 1) if values else None


def repeats(outcomes: Sequence[Outcome], notes: Iterable[Note], *, keyed: bool) -> int:
    """Runs beyond the first: of requests with a key, which allows them, or of those without one."""
    counted = {o.ask.ident for o in outcomes if o.ask.repeatable is keyed}
    return extra(note.ident for note in notes if note.event == "ran" and note.ident in counted)


def extra(idents: Iterable[str]) -> int:
    """How many of these are not the first of their kind."""
    return sum(count - 1 for count in Counter(idents).values())


Served = Sequence[tuple[float, int]]


def detection_ms(
    row: Row, outcomes: Sequence[Outcome], served: Served, p99_normal: float | None
) -> float | None:
    """Until the end of the last troubled second of the first broken spell."""
    slow_s = _SLOW_FACTOR * (p99_normal or 0.0) / 1e3
    troubled = [(o.ask.at_s, bool(o.trouble) or o.latency_s > slow_s) for o in outcomes]
    # When all targets are broken, or the router is, no share of the traffic tells anything.
    watch_share = row.goods and not row.routers
    bad = [(at, target in row.bad) for at, target in served] if watch_share else []

    def is_troubled(since: float) -> bool:
        return _share(troubled, since) > _TROUBLE_SHARE or _share(bad, since) > _TRIAL_SHARE

    windows = _windows(row.fault_s, row.first_heal_s)
    last = max((since for since in windows if is_troubled(since)), default=None)
    if last is None:
        return 0.0
    if last == windows[-1]:
        return None
    flags = [at for at, wrong in (*troubled, *bad) if wrong and last <= at < last + _WINDOW_S]
    return round(1e3 * (max(flags) - row.fault_s), 1)


def recovery_ms(row: Row, served: Served) -> float | None:
    """Until every healed target has half of its former share again."""

    def back(number: int, usual: float) -> float | None:
        hits = [(at, target == number) for at, target in served]
        return _first(lambda since: _share(hits, since) >= usual / 2, _windows(row.heal_s, row.end_s))

    times: list[float] = []
    for number in row.bad:
        before = [target == number for at, target in served if at < row.fault_s]
        usual = sum(before) / len(before) if before else 0.0
        since = back(number, usual) if usual else None
        if since is None:
            return None
        times.append(since)
    return round(1e3 * (max(times) - row.heal_s), 1)


def _windows(begin: float, end: float) -> list[float]:
    """Starts of the windows that lie within, at least one."""
    count = round((end - begin - _WINDOW_S) / _STEP_S) + 1
    return [begin + index * _STEP_S for index in range(max(1, count))]


def _share(flags: Sequence[tuple[float, bool]], since: float) -> float:
    inside = [flag for at, flag in flags if since <= at < since + _WINDOW_S]
    return sum(inside) / len(inside) if len(inside) >= _LEAST else 0.0


def _first(holds: Callable[[float], bool], candidates: Iterable[float]) -> float | None:
    return next((one for one in candidates if holds(one)), None)
