"""One run: a topology, what happens to it, and a rule; the same seed gives the same figures.

Rules
- Arrivals, chance at the targets and chance in the rules come from three seeded streams, so that all rules
  meet the same callers.
- Three of four requests may be repeated (a GET, or an agent without side effects);
  the fourth shows how well a rule
  chooses, because nothing can mend its first attempt.
- An instance begins to exist with its first request, as a function's instance does.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from bench.simulation.agents import Agent
from bench.simulation.baselines import LeastRequest, PowerOfTwo, Weighted
from bench.simulation.callers import PATIENCE_S, Caller, Place, Probes, Rule, Told, unqueued
from bench.simulation.checkers import APART_S, CHECKERS, Checker, Store, shared_folds
from bench.simulation.envoy import Envoy
from bench.simulation.events import Loop
from bench.simulation.figures import Figures, figures
from bench.simulation.ours import Ours
from bench.simulation.prequal import Prequal
from bench.simulation.scenarios import arrange, rate
from bench.simulation.shapes import FAR_S, HOMES, NEAR_S
from bench.simulation.topologies import Topology
from router.core.balance.strategies import Strategy
from router.core.policy import Policy

# A rule for an instance: its ways to the targets, its probes.
Make = Callable[[dict[str, float], Probes], Rule]

_REPEATABLE = (True, True, True, False)
# Requests still under way at the end are given so long.
_DRAIN_S = 2 * PATIENCE_S


@dataclass(frozen=True)
class Setup:
    """What to run.

    rule: a baseline's name, or "skyfleet/STRATEGY". policy: of the request machine and the balancer.
    """

    topology: Topology
    scenario: str
    rule: str
    policy: Policy = field(default_factory=Policy)
    seed: int = 1


class Run:
    """A topology at work."""

    def __init__(self, setup: Setup) -> None:
        topology = setup.topology
        self.setup, self.topology = setup, topology
        self.policy = unqueued(setup.policy)
        self.loop = Loop()
        self.arrivals = random.Random(f"arrivals {setup.seed}")
        self.chance = random.Random(f"rules {setup.seed}")
        self.store = Store()
        self.agents = [self._agent(number) for number in range(topology.targets)]
        self.by_key = {target.key: agent for target, agent in zip(topology.fleet, self.agents, strict=True)}
        self.places: dict[int, Place] = {}
        self.told: list[Told] = []
        self.asked = 0
        self.ways = [
            {
                target.key: NEAR_S if index % HOMES == home else FAR_S
                for index, target in enumerate(topology.fleet)
            }
            for home in range(HOMES)
        ]
        self.make = self._maker(setup.rule)

    def go(self) -> Figures:
        """Run to the end."""
        topology, loop = self.topology, self.loop
        arrange(self.setup.scenario, topology, loop, self.agents)
        if self.setup.rule.startswith("skyfleet"):
            for number in range(CHECKERS):
                checker = Checker(loop, number, topology.fleet, self.agents, self.store)
                checker.begin(number * APART_S / CHECKERS)
        self._next()
        with shared_folds():
            loop.run(topology.end_s + _DRAIN_S)
        hit = frozenset(topology.fleet[number].key for number in topology.faulty)
        attempts = sum(agent.bill.attempts for agent in self.agents)
        usd = sum(agent.bill.usd(agent.shape) for agent in self.agents)
        return figures(topology, self.told, attempts, usd, hit)

    def _agent(self, number: int) -> Agent:
        topology, shape = self.topology, self.topology.shapes[number]
        warm, most = topology.sandboxes(shape)
        draw = random.Random(f"target {number} {self.setup.seed}")
        return Agent(self.loop, shape, warm, most, topology.rate / topology.targets, draw)

    def _next(self) -> None:
        wait = self.arrivals.expovariate(rate(self.setup.scenario, self.topology, self.loop.now))
        if self.loop.now + wait < self.topology.end_s:
            self.loop.after(wait, self._arrive)

    def _arrive(self) -> None:
        number = self.arrivals.randrange(self.topology.instances)
        place = self.places.get(number)
        if place is None:
            place = self.places[number] = self._place(number)
        repeatable = _REPEATABLE[self.asked % len(_REPEATABLE)]
        self.asked += 1
        Caller(self.loop, place, self.policy, self.told.append, repeatable=repeatable)
        self._next()

    def _place(self, number: int) -> Place:
        ways = self.ways[number % len(self.ways)]
        probes = Probes()
        rule = self.make(ways, probes)
        return Place(rule, self.by_key, ways, probes)

    def _maker(self, name: str) -> Make:
        keys, chance, loop = list(self.by_key), self.chance, self.loop
        if name.startswith("skyfleet/"):
            strategy = Strategy(name.split("/")[1])
            return lambda ways, probes: Ours(
                self.topology.fleet, strategy, self.policy, loop, self.store, (probes, chance)
            )
        makers: dict[str, Make] = {
            "weighted": lambda ways, probes: Weighted(keys, chance),
            "least-request": lambda ways, probes: LeastRequest(keys, chance),
            "p2c": lambda ways, probes: PowerOfTwo(keys, chance),
            "envoy": lambda ways, probes: Envoy(keys, chance, loop.clock),
            "prequal": lambda ways, probes: Prequal(keys, chance, loop.clock, self._prober(ways)),
        }
        return makers[name]

    def _prober(self, ways: dict[str, float]) -> Callable[[str, Callable[[int, float], None]], None]:
        def ask(key: str, answer: Callable[[int, float], None]) -> None:
            agent = self.by_key[key]
            if not agent.fault.unreachable:
                rif, took = agent.busy + agent.waiting, agent.recent_ms
                self.loop.after(2 * ways[key], lambda: answer(rif, took))

        return ask
