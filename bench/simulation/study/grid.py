"""The runs of a study: topologies, scenarios and rules, and sweeps of one default each.

Rules
- Small topologies run with all rules, since Skyfleet is made for that size. Large ones run with the rules
  that differ there.
- A sweep varies one number, a field of `Policy` or a constant of a module of the core. All others have their
  defaults. Its figures are means over several seeds.
- A swept constant belongs to one module. Other modules read it as an attribute of that module, so a sweep
  reaches them, too.
"""

from __future__ import annotations

import importlib
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from typing import Final

from bench.simulation.fleet.scenarios import SCENARIOS
from bench.simulation.fleet.topologies import Topology
from bench.simulation.study.run import Setup
from router.core.policy import DEFAULT, Policy

SIZES: Final = (3, 30, 300)
INSTANCES: Final = (1, 100, 10_000)
# Request rates (1/s) where the examination of all targets, once in each instance, takes most of a run.
_RATES: Final = {(30, 10_000): 20.0, (300, 100): 12.0, (300, 10_000): 8.0}

BASELINES: Final = ("weighted", "least-request", "p2c", "prequal", "envoy")
SKYFLEET: Final = (
    "skyfleet/weighted",
    "skyfleet/round-robin",
    "skyfleet/random",
    "skyfleet/least-load",
    "skyfleet/latency",
    "skyfleet/cost",
    "skyfleet/adaptive",
    "skyfleet/weighted hedged",
    "skyfleet/adaptive unhedged",
)
# At three targets with many instances, and at more targets.
FEW: Final = (
    "weighted",
    "p2c",
    "prequal",
    "envoy",
    "skyfleet/weighted",
    "skyfleet/latency",
    "skyfleet/adaptive",
)
# In the largest topologies.
FEWEST: Final = ("weighted", "p2c", "prequal", "envoy", "skyfleet/adaptive")


def topologies() -> tuple[Topology, ...]:
    """All pairs of a number of targets and a number of instances."""
    return tuple(
        Topology(size, instances, _RATES.get((size, instances), Topology.rate))
        for size in SIZES
        for instances in INSTANCES
    )


def cells(*, quick: bool) -> list[Setup]:
    """One setup for each topology, scenario and rule. quick: two small topologies only."""
    chosen = topologies() if not quick else (Topology(3, 1, 30.0), Topology(3, 100, 30.0))
    return [
        setup_of(topology, scenario, rule)
        for topology in chosen
        for scenario in SCENARIOS
        for rule in rules(topology, quick=quick)
    ]


def rules(topology: Topology, *, quick: bool) -> tuple[str, ...]:
    """The rules that run in a topology."""
    if topology.targets == SIZES[0] and topology.instances < INSTANCES[-1] and not quick:
        return (*BASELINES, *SKYFLEET)
    return FEWEST if (topology.targets, topology.instances) in _RATES else FEW


def setup_of(topology: Topology, scenario: str, rule: str, policy: Policy = DEFAULT, seed: int = 1) -> Setup:
    """The setup of one run. rule: may end in " hedged" or " unhedged", which overrides the policy."""
    name, _, how = rule.partition(" ")
    hedge = {"hedged": "on", "unhedged": "off"}.get(how)
    return Setup(topology, scenario, name, replace(policy, hedge=hedge) if hedge else policy, seed)


@dataclass(frozen=True)
class Parameter:
    """One number of the core. where: a module of `router.core`; name: its constant or a field of `Policy`."""

    where: str
    name: str

    @property
    def label(self) -> str:
        """Its name in figures and plots: a field of the policy alone, a constant with its module."""
        return self.name if self.where == "policy" else f"{self.where}.{self.name}"

    def default(self) -> float:
        """The value in the sources."""
        owner: object = (
            DEFAULT if self.where == "policy" else importlib.import_module(f"router.core.{self.where}")
        )
        return float(getattr(owner, self.name))

    def policy(self, value: float) -> Policy:
        """The policy with this value; the default policy if the parameter is a constant."""
        if self.where != "policy":
            return DEFAULT
        whole = next(one for one in fields(Policy) if one.name == self.name).type == "int"
        changes: dict[str, float] = {self.name: int(value) if whole else value}
        return replace(DEFAULT, **changes)

    @contextmanager
    def set_to(self, value: float) -> Generator[None]:
        """Give a constant this value within the context; without effect on a field of the policy."""
        if self.where == "policy":
            yield
            return
        module = importlib.import_module(f"router.core.{self.where}")
        before: object = getattr(module, self.name)
        setattr(module, self.name, value)
        try:
            yield
        finally:
            setattr(module, self.name, before)


@dataclass(frozen=True)
class Sweep:
    """One default over a range. scenarios: pairs of scenario and figure, one curve of the plot each."""

    name: str
    parameter: Parameter
    values: tuple[float, ...]
    scenarios: tuple[tuple[str, str], ...]
    says: str
    rule: str = "skyfleet/adaptive"
    topology: Topology = field(default_factory=lambda: Topology(3, 1))


SEEDS: Final = (1, 2)
