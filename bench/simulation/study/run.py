"""One run: a topology, a scenario and a rule. The same seed gives the same figures.

Rules
- Arrivals, randomness of the targets and randomness of the rules come from three seeded streams, so all rules
  get the same requests.
- Three of four requests may be repeated (a GET, or an agent without side effects). The fourth may not, so its
  first attempt shows how well a rule picks.
- An instance starts with its first request, as the instance of a function does.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from bench.simulation.driver import PATIENCE_S, Driver, Instance, Probes, Request, Result, Rule, unqueued
from bench.simulation.events import Loop
from bench.simulation.fleet.agents import Agent
from bench.simulation.fleet.checkers import APART_S, CHECKERS, Checker, Store, shared_folds
from bench.simulation.fleet.scenarios import DOOMED, DOOMED_SHARE, arrange, rate
from bench.simulation.fleet.shapes import FAR_S, HOMES, NEAR_S
from bench.simulation.fleet.topologies import Topology
from bench.simulation.rules.baselines import LeastRequest, PowerOfTwo, Weighted
from bench.simulation.rules.envoy import Envoy
from bench.simulation.rules.prequal import Prequal
from bench.simulation.rules.skyfleet import Skyfleet
from bench.simulation.study.figures import Figures, figures
from router.core.policy import Policy
from skyfleet.contract import Strategy

# Makes the rule of an instance from its one-way time to each target (s) and its probes.
Make = Callable[[dict[str, float], Probes], Rule]

_REPEATABLE = (True, True, True, False)
# Time that requests have to end after the run.
_DRAIN_S = 2 * PATIENCE_S


@dataclass(frozen=True)
class Setup:
    """The setup of a run.

    rule: the name of a baseline, or "skyfleet/STRATEGY". policy: of the request machine and the balancer.
    """

    topology: Topology
    scenario: str
    rule: str
    policy: Policy = field(default_factory=Policy)
    seed: int = 1


class Run:
    """One run."""

    def __init__(self, setup: Setup) -> None:
        topology = setup.topology
        self.setup, self.topology = setup, topology
        self.policy = unqueued(setup.policy)
        self.loop = Loop()
        self.arrivals = random.Random(f"arrivals {setup.seed}")
        self.chance = random.Random(f"rules {setup.seed}")
        self.doom = random.Random(f"doomed {setup.seed}")
        self.store = Store()
        self.agents = [self._agent(number) for number in range(topology.targets)]
        self.by_key = {target.key: agent for target, agent in zip(topology.fleet, self.agents, strict=True)}
        self.running: dict[int, Instance] = {}
        self.results: list[Result] = []
        self.arrived = 0
        self.one_way_s = [
            {
                target.key: NEAR_S if index % HOMES == home else FAR_S
                for index, target in enumerate(topology.fleet)
            }
            for home in range(HOMES)
        ]
        self.make = self._maker(setup.rule)

    def go(self) -> Figures:
        """Run the simulation to its end; returns its figures."""
        topology = self.topology
        self.simulate()
        faulty = frozenset(topology.fleet[number].key for number in topology.faulty)
        attempts = sum(agent.bill.attempts for agent in self.agents)
        usd = sum(agent.bill.usd(agent.shape) for agent in self.agents)
        return figures(topology, self.results, attempts, usd, faulty)

    def simulate(self) -> None:
        """Run the simulation to its end; `results` has its requests then."""
        topology, loop = self.topology, self.loop
        arrange(self.setup.scenario, topology, loop, self.agents)
        if self.setup.rule.startswith("skyfleet"):
            for number in range(CHECKERS):
                checker = Checker(loop, number, topology.fleet, self.agents, self.store)
                checker.start(number * APART_S / CHECKERS)
        self._next()
        with shared_folds():
            loop.run(topology.end_s + _DRAIN_S)

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
        instance = self.running.get(number)
        if instance is None:
            instance = self.running[number] = self._start_instance(number)
        repeatable = _REPEATABLE[self.arrived % len(_REPEATABLE)]
        self.arrived += 1
        Driver(self.loop, instance, self.policy, self.results.append, self._request(repeatable))
        self._next()

    def _request(self, repeatable: bool) -> Request:
        scenario, topology = self.setup.scenario, self.topology
        if scenario not in DOOMED:
            return Request(repeatable)
        chosen = self.doom.random() < DOOMED_SHARE
        doomed = chosen and topology.fault_s <= self.loop.now < topology.heal_s
        return Request(repeatable, doomed, int(chosen and scenario == "client-bug"))

    def _start_instance(self, number: int) -> Instance:
        one_way_s = self.one_way_s[number % len(self.one_way_s)]
        probes = Probes()
        rule = self.make(one_way_s, probes)
        return Instance(rule, self.by_key, one_way_s, probes)

    def _maker(self, name: str) -> Make:
        keys, chance, loop = list(self.by_key), self.chance, self.loop
        if name.startswith("skyfleet/"):
            strategy = Strategy(name.split("/")[1])
            return lambda one_way_s, probes: Skyfleet(
                self.topology.fleet,
                strategy,
                self.policy,
                loop,
                self.store,
                (probes, chance, self._checker(one_way_s)),
            )
        makers: dict[str, Make] = {
            "weighted": lambda one_way_s, probes: Weighted(keys, chance),
            "least-request": lambda one_way_s, probes: LeastRequest(keys, chance),
            "p2c": lambda one_way_s, probes: PowerOfTwo(keys, chance),
            "envoy": lambda one_way_s, probes: Envoy(keys, chance, loop.clock),
            "envoy/gateway": lambda one_way_s, probes: Envoy(keys, chance, loop.clock, gateway=True),
            "prequal": lambda one_way_s, probes: Prequal(keys, chance, loop.clock, self._prober(one_way_s)),
        }
        return makers[name]

    def _checker(self, one_way_s: dict[str, float]) -> Callable[[str], tuple[float, bool]]:
        def check(key: str) -> tuple[float, bool]:
            agent = self.by_key[key]
            return math.inf if agent.fault.unreachable else 2 * one_way_s[key], not agent.warm

        return check

    def _prober(self, one_way_s: dict[str, float]) -> Callable[[str, Callable[[int, float], None]], None]:
        def send_probe(key: str, answer: Callable[[int, float], None]) -> None:
            agent = self.by_key[key]
            if not agent.fault.unreachable:
                rif, took = agent.busy + agent.waiting, agent.recent_ms
                self.loop.after(2 * one_way_s[key], lambda: answer(rif, took))

        return send_probe
