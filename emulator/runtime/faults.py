"""Injected faults, and their effect on one request.

Pure: faults are values and randomness is an argument. The ingress carries out the verdict.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

from emulator.desired.model import CLOUDS, Cloud, Role
from emulator.runtime.errors import RequestError

FaultKind = Literal[
    "kill", "refuse", "blackhole", "slow", "gray", "error", "throttle", "cold", "cut", "stale"
]
Scope = Literal["agents", "routers", "checkers", "all"]

CLOUD_NAMES: dict[str, Cloud] = {cloud: cloud for cloud in CLOUDS}
SCOPES: dict[str, Scope] = {scope: scope for scope in get_args(Scope)}
FAULT_KINDS: dict[str, FaultKind] = {kind: kind for kind in get_args(FaultKind)}
GRAMMAR = (
    "kill, refuse, blackhole, slow:800ms, gray:800ms, error:30%, throttle:50%, cold:10s, cut:50% or stale"
)
TIMED: frozenset[FaultKind] = frozenset({"slow", "gray", "cold"})
SHARED: frozenset[FaultKind] = frozenset({"error", "throttle", "cut"})

# A checker shares the fate of its cloud's router.
ROLES: dict[Scope, frozenset[Role]] = {
    "agents": frozenset({"agent"}),
    "routers": frozenset({"router", "checker"}),
    "checkers": frozenset({"checker"}),
    "all": frozenset({"agent", "router", "checker"}),
}


@dataclass(frozen=True, slots=True)
class Fault:
    """amount: seconds for slow, gray and cold; share of requests (0 to 1) for error, throttle and cut; else
    unused.
    """

    kind: FaultKind
    amount: float = 1.0

    def __str__(self) -> str:
        if self.kind in TIMED:
            return f"{self.kind}:{self.amount * 1000:g}ms"
        return f"{self.kind}:{self.amount * 100:g}%" if self.kind in SHARED else self.kind


@dataclass(frozen=True, slots=True)
class Injected:
    """One active fault."""

    cloud: Cloud
    scope: Scope
    fault: Fault

    def hits(self, cloud: Cloud, role: Role) -> bool:
        """Whether it affects functions of that cloud and role."""
        return cloud == self.cloud and role in ROLES[self.scope]


def parse(text: str) -> Fault:
    """Parse a fault. Raises RequestError with the valid forms."""
    name, colon, amount = text.partition(":")
    kind = FAULT_KINDS.get(name)
    if kind is None:
        raise RequestError(f"unknown fault {text!r}; write one of {GRAMMAR}")
    if kind in TIMED and (found := re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s)", amount)):
        return Fault(kind, float(found[1]) / (1000 if found[2] == "ms" else 1))
    if kind in SHARED and (found := re.fullmatch(r"(\d+(?:\.\d+)?)%", amount)) and float(found[1]) <= 100:
        return Fault(kind, float(found[1]) / 100)
    if kind in TIMED | SHARED:
        wanted = "a time such as 800ms or 10s" if kind in TIMED else "a share from 0% to 100%"
        raise RequestError(f"fault {text!r} lacks {wanted}; write one of {GRAMMAR}")
    if colon:
        raise RequestError(f"fault {kind!r} takes no amount, got {amount!r}")
    return Fault(kind)


def parse_scope(text: str) -> Scope:
    """The scope that `text` names."""
    scope = SCOPES.get(text)
    if scope is None:
        raise RequestError(f"unknown scope {text!r}; write one of {', '.join(ROLES)}")
    return scope


def parse_cloud(text: str) -> Cloud:
    """The cloud that `text` names."""
    cloud = CLOUD_NAMES.get(text)
    if cloud is None:
        raise RequestError(f"unknown cloud {text!r}; write one of {', '.join(CLOUDS)}")
    return cloud


def inject(current: tuple[Injected, ...], new: Injected) -> tuple[Injected, ...]:
    """`current` and `new`; a fault of the same kind on the same scope is replaced."""
    spot = (new.cloud, new.scope, new.fault.kind)
    return (*(old for old in current if (old.cloud, old.scope, old.fault.kind) != spot), new)


def heal(current: tuple[Injected, ...], cloud: Cloud) -> tuple[Injected, ...]:
    """The faults that remain when `cloud` is healed."""
    return tuple(old for old in current if old.cloud != cloud)


def suffered(current: tuple[Injected, ...], cloud: Cloud, role: Role) -> tuple[Fault, ...]:
    """Faults that affect functions of that cloud and role."""
    return tuple(injected.fault for injected in current if injected.hits(cloud, role))


def has(faults: tuple[Fault, ...], kind: FaultKind) -> bool:
    """Whether a fault of that kind is among them."""
    return any(fault.kind == kind for fault in faults)


def amount(faults: tuple[Fault, ...], kind: FaultKind) -> float:
    """The largest amount of that kind, 0 without one."""
    return max((fault.amount for fault in faults if fault.kind == kind), default=0.0)


@dataclass(frozen=True, slots=True)
class Verdict:
    """The effect on one request, in this order: swallowed, delayed, answered by the platform, cut.

    answer: the cause for which the platform answers instead of the function.
    """

    swallowed: bool = False
    delay_s: float = 0.0
    answer: Literal["unavailable", "failed", "throttled"] | None = None
    cut: bool = False


def decide(faults: tuple[Fault, ...], draw: Callable[[], float], *, probe: bool = False) -> Verdict:
    """The verdict on one request. draw: uniform in [0, 1).

    probe: a health probe, which a gray failure does not affect.
    """
    if has(faults, "blackhole"):
        return Verdict(swallowed=True)
    answer: Literal["unavailable", "failed", "throttled"] | None = None
    if has(faults, "kill"):
        answer = "unavailable"
    elif draw() < amount(faults, "throttle"):
        answer = "throttled"
    elif draw() < amount(faults, "error"):
        answer = "failed"
    delay_s = amount(faults, "slow") + (0.0 if probe else amount(faults, "gray"))
    return Verdict(delay_s=delay_s, answer=answer, cut=answer is None and draw() < amount(faults, "cut"))
