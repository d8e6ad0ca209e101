"""The faults of the soak: one in each minute, on one target after the other.

Rules
- Pure. Times are seconds from the begin of the minute. The fault lasts from 10 to 30 s; the rest of the
  minute is enough for ejections and slow starts to end, so its last seconds are without any fault.
- The number of kinds and that of targets have no common factor: after 30 minutes each target had each kind.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from bench.failover.scenarios import TARGETS, TIMES_SLOWER, Action, Step

MINUTE_S: Final = 60.0
FAULT_S: Final = 10.0
HEAL_S: Final = 30.0
# The part of a minute in which nothing of its fault is left.
QUIET_S: Final = 48.0
# A new process of a killed target is ready before it is healed.
_START_S: Final = 13.0


@dataclass(frozen=True, slots=True)
class Fault:
    """A kind. amount: as in `Step`."""

    name: str
    action: Action
    amount: float = 1.0


FAULTS: Final = (
    Fault("kill", "kill"),
    Fault("refuse", "refuse"),
    Fault("blackhole", "blackhole"),
    Fault("slow", "slow", TIMES_SLOWER),
    Fault("gray", "gray", TIMES_SLOWER),
    Fault("error-30", "error", 0.3),
    Fault("error-100", "error", 1.0),
    Fault("throttle", "throttle", 2.0),
    Fault("cut", "cut", 0.5),
    Fault("cold", "cold", 10.0),
)


def fault_of(minute: int) -> tuple[Fault, int]:
    """The fault of a minute, and the number of its target."""
    return FAULTS[minute % len(FAULTS)], minute % len(TARGETS)


def steps_of(minute: int) -> tuple[Step, ...]:
    """What is done in a minute."""
    fault, target = fault_of(minute)
    begin = Step(FAULT_S, fault.action, (target,), fault.amount)
    restart = (Step(_START_S, "start", (target,)),) if fault.action == "kill" else ()
    return (begin, *restart, Step(HEAL_S, "heal", (target,)))
