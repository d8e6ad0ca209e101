"""The scheduled checkers of three clouds, and the one store through which all router instances hear of them.

Rules (design section 6)
- A checker is invoked each minute and looks at every target six times, 10 s apart. It writes its document
  when one of its verdicts changes and at the end of each invocation.
- A router instance reads the store on its request path, at most every `REFRESH_S`, beside the request: what
  it read counts from `READ_S` later on.
- Frozen values are shared: documents, and the fleets that follow from them alone.
"""

from __future__ import annotations

from collections.abc import Collection, Generator, Iterable, Sequence
from contextlib import contextmanager
from typing import Final

from bench.simulation.agents import Agent
from bench.simulation.events import Loop
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
    """One object for each checker. version: rises with each write."""

    def __init__(self) -> None:
        self.documents: dict[str, Snapshot] = {}
        self.version = 0

    def put(self, document: Snapshot) -> None:
        """Write one checker's document."""
        self.documents[document.checker] = document
        self.version += 1


@contextmanager
def shared_folds() -> Generator[None]:
    """For a while, instances that stand on the same fleet and hear the same documents share what follows.

    It is a pure function of values that never change, and at thousands of instances most of the work; only
    the moment at which a status began is that of the first instance.
    """
    known: dict[tuple[object, ...], tuple[Fleet, tuple[Snapshot, ...], Fleet]] = {}
    begun: dict[tuple[Target, ...], Fleet] = {}
    honest, honest_start = fleet.fold, fleet.start

    def start(targets: tuple[Target, ...], now: float) -> Fleet:
        if targets not in begun:
            begun[targets] = honest_start(targets, now)
        return begun[targets]

    def fold(
        before: Fleet, news: Iterable[Snapshot], now: float, policy: Policy, proven: Collection[str] = ()
    ) -> Fleet:
        snapshots = tuple(news)
        name = (id(before), frozenset(proven), *map(id, snapshots))
        if name not in known:
            # The first two are kept only so that nothing else gets their identity.
            known[name] = before, snapshots, honest(before, snapshots, now, policy, proven)
        return known[name][2]

    fleet.fold, fleet.start = fold, start
    try:
        yield
    finally:
        fleet.fold, fleet.start = honest, honest_start


class Checker:
    """One checker."""

    def __init__(
        self, loop: Loop, checker: int, targets: Sequence[Target], agents: Sequence[Agent], store: Store
    ) -> None:
        self._loop, self._store = loop, store
        self._name = targets[checker].key
        self._agents = {target.key: agent for target, agent in zip(targets, agents, strict=True)}
        self._seen: dict[str, tuple[ProbeResult, ...]] = {target.key: () for target in targets}
        self._round = 0
        self._policy = Policy()

    def begin(self, first: float) -> None:
        """Look for the first time then."""
        self._loop.at(first, self._look)

    def _look(self) -> None:
        now, before = self._loop.now, self._verdicts()
        for key, agent in self._agents.items():
            silent = agent.fault.unreachable
            result = ProbeResult(now, ok=not silent, latency_ms=-1.0 if silent else 20.0)
            self._seen[key] = snapshots.keep(self._seen[key], (result,))
        self._round += 1
        if self._round % ROUNDS == 0 or self._verdicts() != before:
            # What does not answer is known only when its time is over.
            self._loop.after(_TIMEOUT_S, self._write)
        self._loop.after(APART_S, self._look)

    def _verdicts(self) -> list[bool | None]:
        return [snapshots.verdict(seen, self._policy) for seen in self._seen.values()]

    def _write(self) -> None:
        self._store.put(Snapshot(self._name, self._loop.now, dict(self._seen)))
