"""Whose fault an agent's own error is: the target's, or that of the request, its client or a dependency.

An agent error is a reply that the agent's code made itself: a 5xx with the load header, a reply that it
calls an error, a stream with a wrong end. It shows that the target is reachable and answers. Envoy tells the
same two kinds apart: errors of external and of local origin, gateway failures and all 5xx
(https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/upstream/outlier).

Rules
- What fails alike everywhere is not the fault of a target. An agent error counts against a target only if
  requests fail more often there than at all other targets together, by Fisher's exact test at `CHANCE`.
  What no other target was asked proves nothing, so the only target is never at fault.
- Like is compared with like: each request with those of its class (`class_of`). An error of one path, or of
  one client, is not compared with the successes of others. The classes together give the proof (a stratified
  test), and an error counts only if the others do better in its own class.
- The first `CLASSES` classes since the first failure are told apart. Each later one is counted with one of
  these: memory is bounded, and an agent with a path for each item has requests to compare, too.
- Outcomes are counted from the first failure until there was none for `EVIDENCE_S`, so a fleet without errors
  does no work here.
- Of each class the outcomes of two periods are kept: evidence is counted in requests. A period ends for all
  targets at once, when the busiest one and the others together have `WINDOW` outcomes of it each. So all are
  compared over the same time: a dependency that fails now and then fails for each of them alike, and the last
  outcomes of each target would be those of a bad minute at the busy one, and of an hour at the others.
- After most of its failures among the last `LATEST` outcomes of the class, the next outcome of another target
  must have been a success (or the one before, if none followed). A strategy such as `cost` asks the others
  for a comparison only while errors come, so over a longer time they would look worse than they are.
- Active requests count as good for their own target: errors are often faster than replies, and where replies
  take longest they must not be missed.
- With the proof, all errors that led to it count at once, and then each further one while it holds.
- A request without a reply of an agent (a platform's error, a broken connection or reply) may have killed
  the agent's process, but so does a cloud that is out. Such a failure counts at once where another target
  has none in the class. Where each other target has some, it counts only if this one fails twice as often,
  with the same proof (`broke`), or if the target does not answer /health either. One that was not sent, as
  its connection was refused, always counts.
- Where a strategy sends a class to one target (`cost`, a standby), nothing can be compared. Then one request
  of the class at a time goes to another target, until that has as many outcomes as there were errors.

Theory. If the target is not at fault, which of the failed requests it got is chance, whatever the share of
bad requests. With one target that fails all requests, the proof takes 7 errors of two targets that take
turns, 5 of three or four, 4 of five; with a path for each request 17, 12, 10 and 9 at most.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import field, replace
from typing import Final

from skyfleet.values import frozen

# The chance that equally good targets look so different: of three targets 5 errors against 8 successes.
CHANCE: Final = 1 / 1000
# Outcomes of a class in a period: enough for a proof where one in ten requests fails.
WINDOW: Final = 64
# Outcomes of a class in which a moment shows: one failure of a dependency, or one after it.
LATEST: Final = 16
# A period ends with so many outcomes at one target, too, although the others have fewer than `WINDOW`: long
# enough to prove three errors in ten at a target with eight tenths of the requests, and short.
MOST: Final = 2 * WINDOW
# Few enough that requests with a path each soon meet in one class; more than most agents have busy paths.
CLASSES: Final = 8
# Longer than the first ejections, so that a bad build is known when it returns from one.
EVIDENCE_S: Final = 60.0


@frozen
class Tally:
    """A class's outcomes at one target. failed, good: in this period and the last one. row: the newest
    failures, without a success between. held: failures that have not counted against the target yet.
    new_failed, new_good: in this period. ever: it has failed since the evidence began."""

    failed: int = 0
    good: int = 0
    row: int = 0
    held: int = 0
    new_failed: int = 0
    new_good: int = 0
    ever: bool = False

    @property
    def new(self) -> int:
        """The outcomes of this period."""
        return self.new_failed + self.new_good


Latest = tuple[str, bool]


@frozen
class Evidence:
    """The outcomes since the first failure. at: unix s, of the newest failure. classes: the tallies of each
    class by target. asked: classes of which a request was sent elsewhere, and no outcome has come since.
    latest: the last outcomes of each class, as targets and whether they failed."""

    at: float
    classes: Mapping[int, Mapping[str, Tally]] = field(default_factory=dict[int, Mapping[str, Tally]])
    asked: frozenset[int] = frozenset()
    latest: Mapping[int, tuple[Latest, ...]] = field(default_factory=dict[int, tuple[Latest, ...]])


_NOTHING: Final = Tally()
# In standard deviations. A chance of 1 in 1,000 needs 3.1 in a normal distribution, and 2.6 in the most
# skewed one, where the target has nearly all outcomes.
_FAR: Final = 2.5
# So many errors are distributed nearly as in a normal distribution, where this is a chance of 1 in 4,000.
_MANY: Final = 128
_FAR_OF_MANY: Final = 3.5


@frozen
class Finding:
    """How many agent errors count against a target now. row: the newest in a row. earlier: those before."""

    row: int = 0
    earlier: int = 0


NOT_PROVEN: Final = Finding()


def class_of(*parts: object) -> int:
    """The class of a request. parts: all that may explain why it fails or which target it is sent to.

    Python's hash of text differs between processes, so no client can aim at a class."""
    return hash(parts)


def failed(
    evidence: Evidence | None, request_class: int, target: str, now: float, active: int = 0
) -> tuple[Evidence, Finding]:
    """After an agent error of this class at a target, and what counts against the target.

    now: unix s. active: how many other requests are active there."""
    request_class = _counted_as(evidence, request_class, now)
    after = _after(evidence, request_class, target, now, held=1)
    tallies = after.classes[request_class]
    if not (
        _does_better(tallies, target)
        and _fails_alone(after.latest[request_class], target)
        and is_proven(after, target, active)
    ):
        return after, NOT_PROVEN
    tally = tallies[target]
    row = min(tally.row, tally.held)
    counted = {**tallies, target: replace(tally, held=0)}
    after = replace(after, classes={**after.classes, request_class: counted})
    return after, Finding(row, tally.held - row)


def broke(evidence: Evidence | None, request_class: int, target: str, now: float) -> tuple[Evidence, bool]:
    """After a request of this class got no reply of an agent there, and whether others fare alike. now: unix
    s."""
    request_class = _counted_as(evidence, request_class, now)
    after = _after(evidence, request_class, target, now, held=0)
    tallies = after.classes[request_class]
    others = [one for key, one in tallies.items() if key != target]
    if not others or not all(one.ever for one in others):
        return after, False
    least = min(_share(one) for one in others)
    alone = _fails_alone(after.latest[request_class], target) is not False
    worse = alone and least < _share(tallies[target]) / 2
    return after, not (worse and is_proven(after, target))


def succeeded(evidence: Evidence, request_class: int, target: str, now: float) -> Evidence | None:
    """After a good reply to a request of this class; None when the newest failure is too old. now: unix s."""
    if not _lasts(evidence, now):
        return None
    return _after(evidence, _counted_as(evidence, request_class, now), target, now)


def asked(evidence: Evidence, request_class: int) -> Evidence:
    """After a request of this class was sent elsewhere for a comparison."""
    return replace(evidence, asked=evidence.asked | {_counted_as(evidence, request_class)})


def needs_comparison(evidence: Evidence, request_class: int, target: str) -> bool:
    """Whether the next request of this class is to go to another target than to this one."""
    request_class = _counted_as(evidence, request_class)
    tallies = evidence.classes.get(request_class, {})
    if request_class in evidence.asked or target not in tallies:
        return False
    elsewhere = sum(one.failed + one.good for key, one in tallies.items() if key != target)
    return tallies[target].failed > elsewhere


def is_proven(evidence: Evidence, target: str, active: int = 0) -> bool:
    """Fisher's exact test, one-sided, over all classes: whether so many errors are at this target by chance
    with a probability of at most `CHANCE`. active: its other active requests."""
    tables = [_table(tallies, target, active) for tallies in evidence.classes.values() if target in tallies]
    seen = sum(table.seen for table in tables)
    surplus = seen - sum(table.mean for table in tables)
    spread = math.sqrt(sum(table.variance for table in tables))
    # The exact sum costs milliseconds with many errors, and this far from the mean it is never so rare.
    if surplus <= _FAR * spread:
        return False
    if seen > _MANY:
        return surplus >= _FAR_OF_MANY * spread
    fewer = [1.0]
    for table in tables:
        fewer = _added(fewer, table.chances(seen))[:seen]
    return 1 - math.fsum(fewer) <= CHANCE


@frozen
class _Table:
    """One class: seen errors of all its errors `bad`, at the target with `here` of all its outcomes."""

    seen: int
    bad: int
    here: int
    rest: int

    @property
    def mean(self) -> float:
        return self.here * self.bad / (self.here + self.rest)

    @property
    def variance(self) -> float:
        every, fine = self.here + self.rest, self.here + self.rest - self.bad
        if every < 2:
            return 0.0
        return self.here * self.rest * self.bad * fine / (every * every * (every - 1))

    def chances(self, below: int) -> list[float]:
        """How probable each number of errors at the target is (hypergeometric), from 0, below a limit."""
        every = _log_ways(self.here + self.rest, self.bad)
        return [
            math.exp(_log_ways(self.here, n) + _log_ways(self.rest, self.bad - n) - every)
            if n >= self.bad - self.rest
            else 0.0
            for n in range(min(self.here + 1, self.bad + 1, below))
        ]


def _table(tallies: Mapping[str, Tally], target: str, active: int) -> _Table:
    own = tallies[target]
    rest = sum(one.failed + one.good for key, one in tallies.items() if key != target)
    bad = sum(one.failed for one in tallies.values())
    return _Table(own.failed, bad, own.failed + own.good + active, rest)


def _added(some: Sequence[float], more: Sequence[float]) -> list[float]:
    """The chances of a sum of two independent numbers."""
    found = [0.0] * (len(some) + len(more) - 1)
    for number, chance in enumerate(some):
        for other, factor in enumerate(more):
            found[number + other] += chance * factor
    return found


def _does_better(tallies: Mapping[str, Tally], target: str) -> bool:
    """Whether the other targets fail at most half as often in this class."""
    rest = [one for key, one in tallies.items() if key != target]
    bad, every = sum(one.failed for one in rest), sum(one.failed + one.good for one in rest)
    return bool(every) and bad / every <= _share(tallies[target]) / 2


def _counted_as(evidence: Evidence | None, request_class: int, now: float | None = None) -> int:
    """The class that stands for this one: itself, or one of the first. now: None if the evidence lasts."""
    if evidence is None or (now is not None and not _lasts(evidence, now)):
        return request_class
    first = evidence.classes
    if request_class in first or len(first) < CLASSES:
        return request_class
    return list(first)[request_class % CLASSES]


def _lasts(evidence: Evidence, now: float) -> bool:
    return 0 <= now - evidence.at < EVIDENCE_S


def _after(
    evidence: Evidence | None, request_class: int, target: str, now: float, held: int | None = None
) -> Evidence:
    """With one more outcome of this class. held: of a failure, 1 if it may count later; None: a success."""
    if evidence is None or not _lasts(evidence, now):
        evidence = Evidence(now)
    tallies = evidence.classes.get(request_class, {})
    before = tallies.get(target, _NOTHING)
    if held is None:
        tally = replace(before, good=before.good + 1, row=0, new_good=before.new_good + 1)
    else:
        failed, new = before.failed + 1, before.new_failed + 1
        tally = Tally(
            failed, before.good, before.row + 1, before.held + held, new, before.new_good, ever=True
        )
    latest = (*evidence.latest.get(request_class, ())[1 - LATEST :], (target, held is not None))
    return Evidence(
        evidence.at if held is None else now,
        {**evidence.classes, request_class: _bounded({**tallies, target: tally})},
        evidence.asked - {request_class},
        {**evidence.latest, request_class: latest},
    )


def _fails_alone(latest: Sequence[Latest], target: str) -> bool | None:
    """Whether after most of the target's failures in these outcomes another target had a success; before the
    newest one, if nothing followed. None: there is nothing to compare."""
    after: bool | None = None
    pairs = list[bool]()
    for key, failed in reversed(latest):
        if key != target:
            after = failed
        elif failed and after is not None:
            pairs.append(not after)
    if not pairs and after is not None:
        pairs = [not next(failed for key, failed in reversed(latest) if key != target)]
    return 2 * sum(pairs) > len(pairs) if pairs else None


def _share(tally: Tally) -> float:
    """The share of failures; 0 of none."""
    return tally.failed / max(1, tally.failed + tally.good)


def _log_ways(total: int, chosen: int) -> float:
    """The logarithm of the number of ways to choose; at 300 targets the number itself has 3,000 digits."""
    return math.lgamma(total + 1) - math.lgamma(chosen + 1) - math.lgamma(total - chosen + 1)


def _bounded(tallies: Mapping[str, Tally]) -> Mapping[str, Tally]:
    """The outcomes of two periods: if this one is over, the last one is forgotten, for all targets."""
    every = [one.new for one in tallies.values()]
    most = max(every)
    if most < WINDOW or (sum(every) - most < WINDOW and most < MOST):
        return tallies
    return {key: _of_this_period(one) for key, one in tallies.items()}


def _of_this_period(tally: Tally) -> Tally:
    failed = tally.new_failed
    return Tally(failed, tally.new_good, min(tally.row, failed), min(tally.held, failed), ever=tally.ever)
