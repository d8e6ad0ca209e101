"""The scenarios: each has one fault between `fault_s` and `heal_s`.

Rules
- A fault hits a tenth of the targets, at least one, all in the same way and at the same time.
- "slow" takes ten times as long; "gray" answers three in ten requests with 500, quickly, while /health is
  fine; "down" swallows packets, the worst way to be gone, and
  comes back cold; "flapping" refuses connections for 3 s of every 6;
  "throttled" takes a fifth of its usual load and says Retry-After: 5; "cold" has lost its sandboxes again and
  again, each 20 s, so that its next requests wait for new ones; "load" is three times the requests.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from bench.simulation.agents import Agent, Fault
from bench.simulation.events import Loop
from bench.simulation.topologies import Topology

_FLAP_S: Final = 3.0
_COLD_EACH_S: Final = 20.0
LOAD_STEP: Final = 3.0
WELL: Final = Fault()

LASTING: Final = {
    "slow": Fault(slow=10.0),
    "gray": Fault(errors=0.3),
    "down": Fault(silent=True),
    "throttled": Fault(throttled=True),
}
SCENARIOS: Final = ("normal", "slow", "gray", "down", "flapping", "throttled", "cold", "load")


def arrange(scenario: str, topology: Topology, loop: Loop, agents: Sequence[Agent]) -> None:
    """Put the scenario's faults into the loop."""
    hit = [agents[number] for number in sorted(topology.faulty)]
    if scenario in LASTING:
        loop.at(topology.fault_s, _all(hit, LASTING[scenario]))
        if scenario == "down":
            for agent in hit:
                loop.at(topology.heal_s, agent.scale_to_zero)
        loop.at(topology.heal_s, _all(hit, WELL))
    elif scenario == "flapping":
        when, bad = topology.fault_s, True
        while when < topology.heal_s:
            loop.at(when, _all(hit, Fault(refusing=True) if bad else WELL))
            when, bad = when + _FLAP_S, not bad
        loop.at(topology.heal_s, _all(hit, WELL))
    elif scenario == "cold":
        when = topology.fault_s
        while when < topology.heal_s:
            for agent in hit:
                loop.at(when, agent.scale_to_zero)
            when += _COLD_EACH_S


def rate(scenario: str, topology: Topology, now: float) -> float:
    """Requests a second at that time."""
    stepped = scenario == "load" and topology.fault_s <= now < topology.heal_s
    return topology.rate * (LOAD_STEP if stepped else 1.0)


def _all(hit: Sequence[Agent], fault: Fault) -> Callable[[], None]:
    def change() -> None:
        for agent in hit:
            agent.set_fault(fault)

    return change
