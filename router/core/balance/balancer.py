"""The one place that changes: the fleet, the turns of selection, and what this instance has counted.

Rules
- All thinking is in the core; this class keeps the latest values and hands in the clock and the draw.
- Every attempt tells its outcome here by a direct call, never through a log or a queue.
- Requests in flight are counted by seats: taken once, given back once, never below 0.
- With the strategies that learn, a first attempt passes by a target whose oldest attempt in flight is late,
  with nothing heard since that was sent: where requests are rare, that is all that can be known of it yet.
- A choice costs the same with 3 and with 300 targets: menu and roster are kept until the fleet, time or what
  was learned changes them (`_Desk`, one for each strategy in use).
- Turns begin at a random place: thousands of short-lived instances that all began with the heaviest target
  would give it everything.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from router.core.balance.affinity import Names
from router.core.balance.late import Row, late, noticed
from router.core.balance.metrics import NOTHING, Traffic, begun_anew, expected_ms, saw
from router.core.balance.picker import Basis, expires_at, portions, prepare
from router.core.balance.quality import Known
from router.core.balance.strategies import LEARNING, Roster, Strategy, named, pick, pick_again, wants_draw
from router.core.health import fleet as f
from router.core.health.fleet import Menu, Outcome
from router.core.health.machine import Status
from router.core.health.rejected import Refused
from router.core.health.snapshots import Document
from router.core.median import lower_median
from router.core.policy import SKEW_S, Policy
from router.core.request.budget import full
from router.core.request.machine import Choice
from router.core.targets import Target

# How often traffic is reviewed on the request path.
_REVIEW_S: Final = 1.0
# Fewer good replies say nothing of one in twenty.
_HEDGE_SAMPLES: Final = 20
# A timer of the event loop is no finer than this.
_LEAST_HEDGE_S: Final = 0.005
# How many turns of avoided targets are passed over before anybody else will do.
_TURNS_PASSED: Final = 8
_OUT: Final = frozenset({Status.EJECTED, Status.DOWN})
# What the outcome says of the target's failures; of the others, nothing.
_FAILED: Final = {
    Outcome.SUCCESS: False,
    Outcome.COLD: False,
    Outcome.FAILURE: True,
    Outcome.SILENT: True,
    Outcome.LATE: True,
}


class Seat:
    """A request in flight at one target; a context manager that may also be closed by hand, even twice."""

    __slots__ = ("_counts", "_key", "_since", "open")

    def __init__(self, counts: dict[str, int], key: str, since: dict[Seat, float], now: float) -> None:
        """since: when each open seat at that target was taken, the oldest first."""
        self._counts, self._key, self._since, self.open = counts, key, since, True
        counts[key] += 1
        since[self] = now

    def __enter__(self) -> Seat:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        if self.open:
            self.open = False
            self._counts[self._key] -= 1
            del self._since[self]


@dataclass(slots=True)
class _Desk:
    """What one strategy needs for the next choice, as long as `epoch` is the board's and the time within
    `since` and `until`.

    choices: (not alive lately, alive lately) by key. expires: when the roster has to learn anew. turn: the
    next one. Each strategy counts its own, or requests that name another would take every second turn of one
    target.
    """

    strategy: Strategy
    epoch: int
    menu: Menu
    roster: Roster
    choices: Mapping[str, tuple[Choice, Choice]]
    since: float
    until: float
    expires: float
    turn: int


class Board:
    """What this router instance knows."""

    def __init__(
        self,
        targets: tuple[Target, ...],
        strategy: Strategy,
        policy: Policy,
        clock: Callable[[], float],
        draw: Callable[[], float],
        ticks: Callable[[], float] | None = None,
    ) -> None:
        """clock: unix seconds. draw: uniform in [0, 1). ticks: seconds that never go back, for what is earned
        with time; without it the clock."""
        self.targets = {target.key: target for target in targets}
        self.strategy, self.policy = strategy, policy
        self.most_attempts = min(policy.attempts, len(targets))
        self.clock, self._draw = clock, draw
        self.ticks = clock if ticks is None else ticks
        self.fleet = f.start(targets, clock())
        self.budget = full(self.ticks(), policy)
        self.inflight: dict[str, int] = dict.fromkeys(self.targets, 0)
        self._since: dict[str, dict[Seat, float]] = {key: {} for key in self.targets}
        self._heard_at: dict[str, float] = dict.fromkeys(self.targets, float("-inf"))
        self.traffic: dict[str, Traffic] = dict.fromkeys(self.targets, NOTHING)
        self._known = Known(self.traffic, {target.key: target.price for target in targets})
        self._first_turn = int(draw() * (1 << 32))
        self._desks: dict[Strategy, _Desk] = {}
        self._desk: _Desk | None = None
        self._epoch = 0
        self._seen: f.Fleet | None = None
        self._seen_at = self._look_at = self._reviewed_at = float("-inf")
        self.late: dict[str, Row] = {}
        self._hedge: tuple[float, float | None] = (float("-inf"), None)
        self._alive_at: dict[str, float] = dict.fromkeys(self.targets, float("-inf"))
        self.names = Names()
        self.requests = self.retried = self.failed = 0
        self.refused = Refused(self.targets, clock)
        # Out because not even /health answered.
        self._silent: set[str] = set()

    def choose(
        self,
        tried: Collection[str],
        strategy: Strategy | None = None,
        avoid: Collection[str] = (),
        name: bytes = b"",
    ) -> Choice | None:
        """The target for the next attempt; None when all were tried.

        strategy: of this request only. avoid: targets to pass over where another serves. name: of the
        request, whose repeats should meet the same target."""
        now = self.clock()
        if strategy is None:
            strategy = self.strategy
        desk = self._desk
        if (
            desk is None
            or desk.strategy is not strategy
            or desk.epoch != self._epoch
            or self.fleet is not self._seen
            or not desk.since <= now < desk.until
        ):
            desk = self._ready(strategy, now)
        if tried:
            return self._again(desk, tried, avoid, name, now)
        if name and (choice := self._met(name, now)) is not None:
            return choice
        key = named(desk.roster, name) if name else None
        if key is None:
            key = pick(desk.roster, desk.turn, self.inflight, self._drawn(desk.roster))
            desk.turn += 1
        if key in avoid or (self.inflight[key] and strategy in LEARNING and self._is_stuck(key, now)):
            return self._around(desk, key, avoid, name, now)
        return self._choice(desk, key, now)

    def seat(self, key: str) -> Seat:
        """One more request in flight."""
        return Seat(self.inflight, key, self._since[key], self.clock())

    def record(self, key: str, outcome: Outcome, why: str = "", retry_after_s: float | None = None) -> None:
        """How an attempt ended. retry_after_s: what a throttled reply asked for."""
        now = self.clock()
        failed = _FAILED.get(outcome)
        if failed is not None:
            self.traffic[key] = saw(self.traffic[key], now, self.policy, failed=failed)
            if not failed:
                self._alive_at[key] = now
            if outcome is Outcome.SILENT:
                self._silent.add(key)
            elif self._silent:
                self._silent.discard(key)
        before, why = self.fleet, why or "failed attempts"
        self.fleet = f.record(before, key, outcome, now, self.policy, why, retry_after_s)
        if before is self._seen and f.same_menu(before.health[key], self.fleet.health[key]):
            self._seen = self.fleet

    def saw_reply(self, key: str, first_event_ms: float, load: float | None, cold: bool) -> None:
        """A good reply's first event came after so long. load: as its agent reports it, in requests at
        work. cold: it met a cold start, whose time says nothing of the next."""
        now = self.clock()
        if first_event_ms <= self._patience_s() * 1000:
            self.late.pop(key, None)
        self._heard_at[key] = now
        ms, load = -1.0 if cold else first_event_ms, -1.0 if load is None else load
        self.traffic[key] = saw(self.traffic[key], now, self.policy, failed=None, latency_ms=ms, load=load)

    def overtaken(self, key: str, taken_ms: float, cold: bool) -> bool:
        """An attempt was given up for a faster one, or as time was up, before its first event. Whether that
        tells anything: less than was expected does not. Else it counts twice, because what is late already
        goes on, with a heavy tail, for about as long again."""
        now, before = self.clock(), self.traffic[key]
        if taken_ms <= expected_ms(before, now, self.policy):
            return False
        ms = -1.0 if cold else 2 * taken_ms
        self.traffic[key] = saw(before, now, self.policy, failed=None, latency_ms=ms)
        return True

    def is_late(self, key: str) -> None:
        """An attempt there has no first event although the learned delay has passed."""
        self.late = noticed(self.late, key, self.clock())

    def late_now(self) -> list[str]:
        """Targets that a new request had better avoid, if it can."""
        return late(self.late, self.clock())

    def hedge_delay_s(self) -> float | None:
        """How long nineteen of twenty good replies take at most to begin; None while too few were seen.

        The lower median of the targets' own estimates: one slow target does not raise it."""
        now = self.clock()
        at, delay = self._hedge
        if not at <= now < at + self.policy.learn_s:
            known = [one for one in self.traffic.values() if one.samples]
            if sum(one.samples for one in known) >= _HEDGE_SAMPLES:
                delay = max(lower_median(one.p95_ms for one in known) / 1000, _LEAST_HEDGE_S)
            self._hedge = now, delay
        return delay

    def _patience_s(self) -> float:
        """After which time an attempt is late: the delay of hedges, as long as it is known."""
        delay = self._hedge[1]
        return self.policy.probe_after_s if delay is None else delay

    def _is_stuck(self, key: str, now: float) -> bool:
        """Whether its oldest attempt in flight is late, and nothing was heard since that was sent."""
        since = next(iter(self._since[key].values()), now)
        return since < now - self._patience_s() and not since <= self._heard_at[key] <= now

    def portions(self) -> dict[str, float]:
        """The part of the turns that each target has now by the strategy; of others than these, none."""
        roster = self._ready(self.strategy, self.clock()).roster
        return {**dict.fromkeys(self.targets, 0.0), **portions(roster)}

    def fold(self, documents: Iterable[Document]) -> None:
        """Take in what vantages say."""
        documents = tuple(documents)
        self.fleet = f.fold(self.fleet, documents, self.clock(), self.policy)
        for document in documents:
            self.refused.forget(document.vantage)
            for key, seen in document.observations.items():
                alive = next((one.at for one in reversed(seen) if one.alive), 0.0)
                known = self._alive_at.get(key, alive)
                self._alive_at[key] = max(known, alive) if known <= self.clock() + SKEW_S else alive

    def accused(self, documents: Collection[Document]) -> tuple[str, ...]:
        """Targets that these put out by a lone vantage's word."""
        return f.accused(self.fleet, documents, self.clock(), self.policy)

    def vouch(self, key: str) -> None:
        """An accused target has answered."""
        self.fleet = f.vouched(self.fleet, key, self.clock())

    def out(self) -> list[str]:
        """Targets that are ejected or down."""
        return [key for key, one in self.fleet.health.items() if one.status in _OUT]

    def is_back(self, key: str) -> None:
        """A target answered while nothing could be sent to anybody."""
        self._silent.discard(key)
        self.fleet = f.back(self.fleet, key, self.clock())

    def answered(self, key: str) -> None:
        """A target answered /health after all: a cold start that took longer than anybody waited. Who was put
        out for its silence alone need not wait for the end of that."""
        if key in self._silent:
            self.is_back(key)

    def retry_after_s(self) -> int:
        """What to tell a caller whom nobody could serve."""
        return f.retry_after_s(self.fleet, self.clock(), self.policy)

    def _ready(self, strategy: Strategy, now: float) -> _Desk:
        """The strategy's desk as of now, which is then the one at hand."""
        if self.fleet is not self._seen or not self._seen_at <= now < self._look_at:
            self._look(now)
        desk = self._desks.get(strategy)
        if desk is None or desk.epoch != self._epoch or not desk.since <= now < desk.until:
            desk = self._desks[strategy] = self._renewed(strategy, desk, now)
        self._desk = desk
        return desk

    def _look(self, now: float) -> None:
        """Apply what time and traffic have done to the fleet."""
        fleet = f.settle(self.fleet, now, self.policy)
        for key, health in fleet.health.items():
            if 0 < self.traffic[key].at < health.back_at <= now:
                self.traffic[key] = begun_anew(self.traffic[key], now)
        if not 0 <= now - self._reviewed_at < _REVIEW_S:
            fleet = f.review(fleet, self.traffic, now, self.policy)
            self._reviewed_at = now
        self.fleet = self._seen = fleet
        self._epoch += 1
        self._seen_at = now
        self._look_at = min(self._reviewed_at + _REVIEW_S, f.changes_at(fleet, now, self.policy))

    def _renewed(self, strategy: Strategy, desk: _Desk | None, now: float) -> _Desk:
        menu = f.menu(self.fleet, (), now, self.policy)
        if desk is not None and menu == desk.menu and desk.since <= now < desk.expires:
            until = min(desk.expires, self._look_at)
            desk.epoch, desk.until = self._epoch, until
            return desk
        basis = Basis(self._known, now, self.policy)
        roster = prepare(strategy, menu.candidates, basis, desk.roster if desk else None)
        choices = desk.choices if desk is not None and menu == desk.menu else self._choices(menu)
        expires = expires_at(roster, self.policy)
        until = min(expires, self._look_at)
        turn = desk.turn if desk is not None else self._first_turn
        return _Desk(strategy, self._epoch, menu, roster, choices, now, until, expires, turn)

    def _choices(self, menu: Menu) -> dict[str, tuple[Choice, Choice]]:
        def choice(key: str, warm: bool) -> Choice:
            return Choice(key, self.targets[key].repeatable, menu.panic, warm, menu.resting)

        return {one.key: (choice(one.key, False), choice(one.key, True)) for one in menu.candidates}

    def _drawn(self, roster: Roster) -> float:
        return self._draw() if wants_draw(roster) else 0.0

    def _choice(self, desk: _Desk, key: str, now: float) -> Choice:
        return desk.choices[key][self._is_warm(key, now)]

    def _is_warm(self, key: str, now: float) -> bool:
        return -SKEW_S <= now - self._alive_at[key] < self.policy.warm_for_s

    def _met(self, name: bytes, now: float) -> Choice | None:
        """Where a request of this name was sent before, if that serves."""
        key = self.names.place(name)
        if key is None or not f.serves(self.fleet, key, now, self.policy):
            return None
        return Choice(key, self.targets[key].repeatable, warm=self._is_warm(key, now))

    def _around(self, desk: _Desk, key: str, avoid: Collection[str], name: bytes, now: float) -> Choice:
        """Instead of the key in turn the next turn of somebody else, or whom the name says next. Turns are
        spent on the way, so the others keep their ratio."""
        if name:
            stuck = [one for one in desk.roster.keys if self.inflight[one] and self._is_stuck(one, now)]
            if (other := named(desk.roster, name, (*avoid, *stuck))) is not None:
                return self._choice(desk, other, now)
        else:
            turn = desk.turn
            for _ in range(_TURNS_PASSED):
                other = pick(desk.roster, desk.turn, self.inflight, self._drawn(desk.roster))
                desk.turn += 1
                if other not in avoid and not (self.inflight[other] and self._is_stuck(other, now)):
                    return self._choice(desk, other, now)
            desk.turn = turn
        choice = self._beside(desk, avoid, name, now)
        return choice if choice is not None and not choice.needed_only else self._choice(desk, key, now)

    def _again(
        self, desk: _Desk, tried: Collection[str], avoid: Collection[str], name: bytes, now: float
    ) -> Choice | None:
        if avoid:
            choice = self._beside(desk, (*tried, *avoid), name, now)
            if choice is not None and not choice.needed_only:
                return choice
        return self._beside(desk, tried, name, now)

    def _beside(self, desk: _Desk, tried: Collection[str], name: bytes, now: float) -> Choice | None:
        """Somebody else than these; it takes no turn."""
        if name:
            key = named(desk.roster, name, tried)
        else:
            key = pick_again(desk.roster, desk.turn, self.inflight, self._drawn(desk.roster), tried)
        if key is not None:
            return self._choice(desk, key, now)
        # Everybody of the first tier was tried.
        menu = f.menu(self.fleet, tried, now, self.policy)
        if not menu.candidates:
            return None
        roster = prepare(desk.strategy, menu.candidates, Basis(self._known, now, self.policy))
        key = named(roster, name) if name else None
        if key is None:
            key = pick(roster, desk.turn, self.inflight, self._drawn(roster))
        return self._choices(menu)[key][self._is_warm(key, now)]
