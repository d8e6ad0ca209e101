"""The rows of the scoreboard: what breaks, when, and when it is well again.

Rule: plain data. Times are seconds from the first request. Targets and router instances are numbered from 0.
The same timeline serves most rows: four seconds well, six broken, eight well again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

# The first two are done to the process, everything else is said to the target's control port. A target that
# is started takes no connection before "heal": how long an interpreter starts is not measured.
Action = Literal[
    "kill", "start", "heal", "refuse", "blackhole", "slow", "gray", "error", "throttle", "cut", "cold"
]

FAULT_S: Final = 4.0
HEAL_S: Final = 10.0
END_S: Final = 18.0
# A killed target's new process, which must be there when it is to be healed.
_START_S: Final = 6.0
TARGETS: Final = ("aws", "azure", "gcp")
# What gray and slow mean here: the issue's own figure.
TIMES_SLOWER: Final = 10.0


@dataclass(frozen=True, slots=True)
class Step:
    """One thing done to targets (or, with `routers`, to router instances) at a time.

    amount: times slower for slow and gray, share of requests (0 to 1) for error and cut, seconds to wait
    for throttle (its Retry-After) and cold.
    """

    at_s: float
    action: Action
    numbers: tuple[int, ...] = (1,)
    amount: float = 1.0
    routers: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """One fault.

    bad: targets that are broken. fault_s, first_heal_s: the first broken spell, in which detection is
    measured. heal_s: when all is well for good. goods: whether a good target is left all the time.
    """

    fault: str
    about: str
    steps: tuple[Step, ...]
    bad: tuple[int, ...] = (1,)
    fault_s: float = FAULT_S
    first_heal_s: float = HEAL_S
    heal_s: float = HEAL_S
    end_s: float = END_S
    goods: bool = True
    routers: bool = False


def _simple(fault: str, about: str, action: Action, amount: float = 1.0) -> Row:
    return Row(fault, about, (Step(FAULT_S, action, amount=amount), Step(HEAL_S, "heal")))


def _processes(fault: str, about: str, bad: tuple[int, ...], *, goods: bool = True) -> Row:
    steps = (Step(FAULT_S, "kill", bad), Step(_START_S, "start", bad), Step(HEAL_S, "heal", bad))
    return Row(fault, about, steps, bad, goods=goods)


_FLAPS: Final = (4.0, 7.0, 10.0, 13.0, 16.0)

ROWS: Final[tuple[Row, ...]] = (
    _processes("kill", "one target's process is killed, requests in work and all", (1,)),
    _simple("refuse", "one target refuses connections and resets those it has", "refuse"),
    _simple("blackhole", "one target takes bytes and never answers; new connections hang", "blackhole"),
    _simple("slow", "one target is 10 times slower, its /health too", "slow", TIMES_SLOWER),
    _simple("gray", "one target's traffic is 10 times slower, its /health is fine", "gray", TIMES_SLOWER),
    _simple("error-30", "one target works and answers 30 % with 500; /health is fine", "error", 0.3),
    _simple("error-100", "one target works and answers all with 500; /health fails too", "error", 1.0),
    _simple("throttle", "one target answers 429, Retry-After: 2; its /health is fine", "throttle", 2.0),
    _simple("cut", "one target breaks half of its replies off, at any point; /health is fine", "cut", 0.5),
    Row(
        "flapping",
        "one target refuses for 3 s, serves for 3 s, refuses for 3 s, serves, refuses",
        tuple(Step(at, "heal" if index % 2 else "refuse") for index, at in enumerate((*_FLAPS, 19.0))),
        first_heal_s=7.0,
        heal_s=19.0,
        end_s=27.0,
    ),
    Row(
        "cold",
        "one target was scaled to zero: 10 s pass from its next request until it answers any",
        (Step(FAULT_S, "cold", amount=10.0), Step(14.0, "heal")),
        first_heal_s=14.0,
        heal_s=14.0,
        end_s=22.0,
    ),
    _processes("two-down", "two of the three targets are killed", (1, 2)),
    _processes("all-down", "all three targets are killed and come back", (0, 1, 2), goods=False),
    Row(
        "router",
        "the router instance in use is killed and started again; callers know a second one",
        (Step(FAULT_S, "kill", (0,), routers=True), Step(HEAL_S, "start", (0,), routers=True)),
        bad=(0,),
        routers=True,
    ),
)
