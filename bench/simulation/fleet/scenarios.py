"""The scenarios: each has one fault between `fault_s` and `heal_s`.

Rules
- A fault affects a tenth of the targets, at least one, all in the same way and at the same time.
- "slow": work takes ten times as long.
- "gray": 30 % of the requests are answered quickly with 500, and /health is fine.
- "down": packets are dropped, and the target comes back cold.
- "flapping": connections are refused for 3 s of every 6 s.
- "throttled": a fifth of the usual load is served, the rest is answered with 429 and Retry-After: 5.
- "cold": all sandboxes are lost every 20 s, so the next requests wait for cold starts.
- "load": the request rate is three times as high, at all targets.
- "bad-build": all requests are answered quickly with the agent's 500, and /health is fine.
- "poison": a fifth of the requests fail so at each target. "client-bug": all of one client's, a fifth of all.
  These three are a study of their own (`bench.simulation.study.attribution`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from bench.simulation.events import Loop
from bench.simulation.fleet.agents import Agent, Fault
from bench.simulation.fleet.topologies import Topology

_FLAP_S: Final = 3.0
_COLD_EACH_S: Final = 20.0
LOAD_STEP: Final = 3.0
HEALTHY: Final = Fault()

LASTING: Final = {
    "slow": Fault(slow=10.0),
    "gray": Fault(errors=0.3),
    "down": Fault(silent=True),
    "throttled": Fault(throttled=True),
    "bad-build": Fault(errors=1.0),
}
# Whose requests fail at each target; the share of all requests.
DOOMED: Final = frozenset({"poison", "client-bug"})
DOOMED_SHARE: Final = 0.2
SCENARIOS: Final = ("normal", "slow", "gray", "down", "flapping", "throttled", "cold", "load")


def arrange(scenario: str, topology: Topology, loop: Loop, agents: Sequence[Agent]) -> None:
    """Schedule the faults of the scenario."""
    faulty = [agents[number] for number in sorted(topology.faulty)]
    if scenario in LASTING:
        loop.at(topology.fault_s, _all(faulty, LASTING[scenario]))
        if scenario == "down":
            for agent in faulty:
                loop.at(topology.heal_s, agent.scale_to_zero)
        loop.at(topology.heal_s, _all(faulty, HEALTHY))
    elif scenario == "flapping":
        when, bad = topology.fault_s, True
        while when < topology.heal_s:
            loop.at(when, _all(faulty, Fault(refusing=True) if bad else HEALTHY))
            when, bad = when + _FLAP_S, not bad
        loop.at(topology.heal_s, _all(faulty, HEALTHY))
    elif scenario == "cold":
        when = topology.fault_s
        while when < topology.heal_s:
            for agent in faulty:
                loop.at(when, agent.scale_to_zero)
            when += _COLD_EACH_S


def rate(scenario: str, topology: Topology, now: float) -> float:
    """Request rate (1/s) at the time `now` (s)."""
    stepped = scenario == "load" and topology.fault_s <= now < topology.heal_s
    return topology.rate * (LOAD_STEP if stepped else 1.0)


def _all(faulty: Sequence[Agent], fault: Fault) -> Callable[[], None]:
    def change() -> None:
        for agent in faulty:
            agent.set_fault(fault)

    return change
