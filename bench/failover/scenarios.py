"""The scenarios of the scoreboard: which fault begins and ends when.

Rule: plain data. Times are seconds from the first request. Targets and router instances are numbered from 0.
Most scenarios have the same times: 4 s without a fault, 6 s with it, 8 s without.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

# "kill" and "start" act on the process, all others go to the target's control port. A started target accepts
# no connection before "heal", so the start time of an interpreter is not measured.
# "poison" and "tenant" make some requests fail at each target (`shapes.fails_everywhere`), "build" makes all
# fail at this one; /health stays fine.
Action = Literal[
    "kill",
    "start",
    "heal",
    "refuse",
    "blackhole",
    "slow",
    "gray",
    "error",
    "throttle",
    "cut",
    "cold",
    "poison",
    "tenant",
    "build",
]

FAULT_S: Final = 4.0
HEAL_S: Final = 10.0
END_S: Final = 18.0
# When a killed target's new process is started, so that it is ready when it is healed.
_START_S: Final = 6.0
TARGETS: Final = ("aws", "azure", "gcp")
# Factor of "slow" and "gray".
TIMES_SLOWER: Final = 10.0


@dataclass(frozen=True, slots=True)
class Step:
    """One action on targets, or with `routers` on router instances.

    at_s: when. numbers: of the targets or instances. amount: factor for slow and gray, share of requests (0
    to 1) for error and cut, seconds for throttle (its Retry-After) and cold.
    """

    at_s: float
    action: Action
    numbers: tuple[int, ...] = (1,)
    amount: float = 1.0
    routers: bool = False


@dataclass(frozen=True, slots=True)
class Scenario:
    """One fault.

    broken: numbers of the targets with the fault. fault_s, first_heal_s: the first period of the fault, in
    which detection is measured. heal_s: when the fault ends for good. healthy_left: whether a target without
    a fault is left all the time. routers: whether the fault is one of router instances. fails: which requests
    fail at each target while the fault lasts; they are not judged, only the others are.
    """

    name: str
    description: str
    steps: tuple[Step, ...]
    broken: tuple[int, ...] = (1,)
    fault_s: float = FAULT_S
    first_heal_s: float = HEAL_S
    heal_s: float = HEAL_S
    end_s: float = END_S
    healthy_left: bool = True
    routers: bool = False
    fails: Literal["", "poison", "tenant"] = ""


def _fault(name: str, description: str, action: Action, amount: float = 1.0) -> Scenario:
    return Scenario(name, description, (Step(FAULT_S, action, amount=amount), Step(HEAL_S, "heal")))


def _everywhere(name: str, description: str, fails: Literal["poison", "tenant"]) -> Scenario:
    steps = (Step(FAULT_S, fails, (0, 1, 2)), Step(HEAL_S, "heal", (0, 1, 2)))
    return Scenario(name, description, steps, (), fails=fails)


def _killed(name: str, description: str, broken: tuple[int, ...], *, healthy_left: bool = True) -> Scenario:
    steps = (Step(FAULT_S, "kill", broken), Step(_START_S, "start", broken), Step(HEAL_S, "heal", broken))
    return Scenario(name, description, steps, broken, healthy_left=healthy_left)


_FLAPS: Final = (4.0, 7.0, 10.0, 13.0, 16.0)

SCENARIOS: Final[tuple[Scenario, ...]] = (
    _killed("kill", "one target's process is killed with its active requests", (1,)),
    _fault("refuse", "one target refuses connections and resets open ones", "refuse"),
    _fault("blackhole", "one target reads bytes and never answers; new connections hang", "blackhole"),
    _fault("slow", "one target is 10 times slower, its /health too", "slow", TIMES_SLOWER),
    _fault("gray", "one target's requests take 10 times as long; its /health is fine", "gray", TIMES_SLOWER),
    _fault("error-30", "one target works and answers 30 % with 500; its /health is fine", "error", 0.3),
    _fault("error-100", "one target works and answers all with 500; its /health fails too", "error", 1.0),
    _fault("throttle", "one target answers 429 with Retry-After: 2; its /health is fine", "throttle", 2.0),
    _fault("cut", "one target truncates half of its replies at any point; its /health is fine", "cut", 0.5),
    Scenario(
        "flapping",
        "one target refuses for 3 s, serves for 3 s, refuses for 3 s, serves, refuses",
        tuple(Step(at, "heal" if index % 2 else "refuse") for index, at in enumerate((*_FLAPS, 19.0))),
        first_heal_s=7.0,
        heal_s=19.0,
        end_s=27.0,
    ),
    Scenario(
        "cold",
        "one target was scaled to zero: its next request begins a cold start of 10 s",
        (Step(FAULT_S, "cold", amount=10.0), Step(14.0, "heal")),
        first_heal_s=14.0,
        heal_s=14.0,
        end_s=22.0,
    ),
    _killed("two-down", "two of the three targets are killed", (1, 2)),
    _killed("all-down", "all three targets are killed and come back", (0, 1, 2), healthy_left=False),
    Scenario(
        "router",
        "the router instance in use is killed and started again; clients know a second one",
        (Step(FAULT_S, "kill", (0,), routers=True), Step(HEAL_S, "start", (0,), routers=True)),
        broken=(0,),
        routers=True,
    ),
    _everywhere(
        "poison",
        "a quarter of the requests make the agent fail with 500, at each target; only the others are judged",
        "poison",
    ),
    _everywhere(
        "tenant-bug",
        "all requests of one client (a quarter) get 500 at each target; only the other client is judged",
        "tenant",
    ),
    _fault("bad-build", "one target's new build answers all with 500; its /health is fine", "build"),
)
