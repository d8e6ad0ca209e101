"""The scheduled checkers of three clouds, and the store from which router instances read their snapshots.

Rules
- A checker runs each minute and probes each target six times, 10 s apart. It writes its snapshot when a
  verdict changes and at the end of each run.
- A router instance reads the store during a request, at most every `REFRESH_S`. The result applies `READ_S`
  later.
- Instances share immutable values: snapshots, and fleets computed from equal snapshots.
"""

from __future__ import annotations

from collections.abc import Collection, Generator, Iterable, Sequence
from contextlib import contextmanager
from typing import Final

from bench.simulation.events import Loop
from bench.simulation.fleet.agents import Agent
from router.core.health import fleet, snapshots
from router.core.health.fleet import Fleet
from router.core.health.snapshots import ProbeResult, Snapshot
from router.core.policy import Policy
from router.core.targets import Target

ROUNDS: Final = 6
APART_S: Final = 10.0
REFRESH_S: Final = 5.0
READ_S: Final = 0.05
CHECKERS: Final = 3
_TIMEOUT_S: Final = 3.0


class Store:
    """One snapshot of each checker. version: number of writes."""

    def __init__(self) -> None:
        self.snapshots: dict[str, Snapshot] = {}
        self.version = 0

    def put(self, snapshot: Snapshot) -> None:
        """Store the newest snapshot of a checker."""
        self.snapshots[snapshot.checker] = snapshot
        self.version += 1


@contextmanager
def shared_folds() -> Generator[None]:
    """Within this context, instances with the same fleet and the same snapshots share the resulting fleet.

    `fold` is a pure function of immutable values, and most of the work with thousands of instances. Only the
    time at which a state began is that of the first instance.
    """
    known: dict[tuple[object, ...], tuple[Fleet, tuple[Snapshot, ...], Fleet]] = {}
    started: dict[tuple[Target, ...], Fleet] = {}
    original_fold, original_start = fleet.fold, fleet.start

    def start(targets: tuple[Target, ...], now: float) -> Fleet:
        if targets not in started:
            started[targets] = original_start(targets, now)
        return started[targets]

    def fold(
        before: Fleet, news: Iterable[Snapshot], now: float, policy: Policy, proven: Collection[str] = ()
    ) -> Fleet:
        snapshots = tuple(news)
        name = (id(before), frozenset(proven), *map(id, snapshots))
        if name not in known:
            # The first two are kept so that no other object gets their identity.
            known[name] = before, snapshots, original_fold(before, snapshots, now, policy, proven)
        return known[name][2]

    fleet.fold, fleet.start = fold, start
    try:
        yield
    finally:
        fleet.fold, fleet.start = original_fold, original_start


class Checker:
    """The checker of one cloud."""

    def __init__(
        self, loop: Loop, checker: int, targets: Sequence[Target], agents: Sequence[Agent], store: Store
    ) -> None:
        self._loop, self._store = loop, store
        self._name = targets[checker].key
        self._agents = {target.key: agent for target, agent in zip(targets, agents, strict=True)}
        self._results: dict[str, tuple[ProbeResult, ...]] = {target.key: () for target in targets}
        self._round = 0
        self._policy = Policy()

    def start(self, first: float) -> None:
        """Schedule the first round of probes at the time `first` (s)."""
        self._loop.at(first, self._probe_all)

    def _probe_all(self) -> None:
        now, before = self._loop.now, self._verdicts()
        for key, agent in self._agents.items():
            unreachable = agent.fault.unreachable
            result = ProbeResult(now, ok=not unreachable, latency_ms=-1.0 if unreachable else 20.0)
            self._results[key] = snapshots.keep(self._results[key], (result,))
        self._round += 1
        if self._round % ROUNDS == 0 or self._verdicts() != before:
            # The round ends with the timeout of its slowest probe.
            self._loop.after(_TIMEOUT_S, self._write)
        self._loop.after(APART_S, self._probe_all)

    def _verdicts(self) -> list[bool | None]:
        return [snapshots.verdict(results, self._policy) for results in self._results.values()]

    def _write(self) -> None:
        self._store.put(Snapshot(self._name, self._loop.now, dict(self._results)))
