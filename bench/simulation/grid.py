"""What is run: every topology, every scenario, every rule; and each default over a range.

Rules
- Small topologies meet all rules, for that is the size Skyfleet is made for; large ones meet those that say
  something at that size.
- A sweep changes one number (a field of `Policy`, or a constant of a module of the core) and leaves all
  others at their defaults. Its figures are means over several seeds.
"""

from __future__ import annotations

import importlib
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from typing import Final

from bench.simulation.runs import Setup
from bench.simulation.scenarios import SCENARIOS
from bench.simulation.topologies import Topology
from router.core.policy import DEFAULT, Policy

SIZES: Final = (3, 30, 300)
INSTANCES: Final = (1, 100, 10_000)
# Requests a second where the core's look at all targets, once for each instance, takes most of a run.
_RATES: Final = {(30, 10_000): 20.0, (300, 100): 12.0, (300, 10_000): 8.0}

RIVALS: Final = ("weighted", "least-request", "p2c", "prequal", "envoy")
OURS: Final = (
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
    """All sizes."""
    return tuple(
        Topology(size, instances, _RATES.get((size, instances), Topology.rate))
        for size in SIZES
        for instances in INSTANCES
    )


def cells(*, quick: bool) -> list[Setup]:
    """One run for each topology, scenario and rule."""
    chosen = topologies() if not quick else (Topology(3, 1, 30.0), Topology(3, 100, 30.0))
    return [
        setup_of(topology, scenario, rule)
        for topology in chosen
        for scenario in SCENARIOS
        for rule in rules(topology, quick=quick)
    ]


def rules(topology: Topology, *, quick: bool) -> tuple[str, ...]:
    """Those that a topology meets."""
    if topology.targets == SIZES[0] and topology.instances < INSTANCES[-1] and not quick:
        return (*RIVALS, *OURS)
    return FEWEST if (topology.targets, topology.instances) in _RATES else FEW


def setup_of(topology: Topology, scenario: str, rule: str, policy: Policy = DEFAULT, seed: int = 1) -> Setup:
    """A rule's name may end in "hedged" or "unhedged", which overrules the policy."""
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
        """How figures and plots name it: a field of the policy alone, a constant with its module."""
        return self.name if self.where == "policy" else f"{self.where}.{self.name}"

    def default(self) -> float:
        """Its value in the sources."""
        owner: object = (
            DEFAULT if self.where == "policy" else importlib.import_module(f"router.core.{self.where}")
        )
        return float(getattr(owner, self.name))

    def policy(self, value: float) -> Policy:
        """The policy with this value, if it is a field of it."""
        if self.where != "policy":
            return DEFAULT
        whole = next(one for one in fields(Policy) if one.name == self.name).type == "int"
        changes: dict[str, float] = {self.name: int(value) if whole else value}
        return replace(DEFAULT, **changes)

    @contextmanager
    def turned(self, value: float) -> Generator[None]:
        """A constant has this value for a while."""
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
    """One default over a range. scenarios: (scenario, figure) pairs; each is a curve of the plot."""

    name: str
    parameter: Parameter
    values: tuple[float, ...]
    scenarios: tuple[tuple[str, str], ...]
    says: str
    rule: str = "skyfleet/adaptive"
    topology: Topology = field(default_factory=lambda: Topology(3, 1))


SEEDS: Final = (1, 2)
