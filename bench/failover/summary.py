"""The first section of the page: this router's entries, the goals they miss, and where they are best.

Rule: all numbers and verdicts are computed. Only the explanations are written by hand.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from bench.failover import goals
from bench.failover.goals import DEFAULTS, REPEATABLE, SKYFLEET, TUNED, Verdict
from bench.failover.peers import ROUTERS
from bench.failover.peers.skyfleet import POLICY
from bench.failover.scenarios import END_S, FAULT_S, HEAL_S
from router.core.policy import Policy

DEMANDS: Final[Mapping[str, str]] = {
    "floor": "floor: no peer loses fewer",
    "lost": "0 lost",
    "repeats": "0 wrong repeats",
    "p99": "p99 under twice normal",
    "out": "no healthy target out",
    "extra": "extra under 5 %",
}
KINDS: Final[Mapping[str, str]] = {
    TUNED: "tuned for this scoreboard",
    DEFAULTS: "default policy",
    REPEATABLE: "default policy, agents declared repeatable",
}
_COMPARISONS: Final[Mapping[str, str]] = {
    "lost": "Fewest lost",
    "p99_ms": "Lowest p99 during the fault",
    "detection_ms": "Shortest detection",
    "recovery_ms": "Shortest recovery",
}
Entries = Sequence[dict[str, Any]]


def text(entries: Entries, found: Mapping[str, Sequence[Verdict]]) -> str:
    """The text of the section. found: the verdicts on each of its entries."""
    peers = ", ".join(router.name for router in ROUTERS if router.name not in SKYFLEET)
    parts = [
        "## Where it is best, and where not\n",
        _entries(),
        *(_missed(router, found[router]) for router in SKYFLEET),
        (
            f"\nEach entry is compared with {peers}, not with the other entries. A time within "
            f"{100 * goals.TIE_SHARE:.0f} % or {goals.TIE_MS:.0f} ms of the lowest is a tie and counts as "
            "best. Lost requests are compared exactly."
        ),
        *(_bests(router, entries) for router in SKYFLEET if found[router]),
    ]
    return "\n".join(parts) + "\n"


def _entries() -> str:
    usual = Policy()
    changes = ", ".join(f"`{name}: {value}`" for name, value in POLICY.items())
    return f"""This router has three entries on the scoreboard. They differ in the policy, and in what agents declare:

- `{DEFAULTS}`: the default policy, agents that declare nothing.
- `{REPEATABLE}`: the default policy, agents that are declared `repeatable`, as the README advises for those without side
  effects. Then each request may be sent again, also as a hedge, so all its repeats are allowed ones (`keyed_repeats`).
- `{TUNED}`: tuned for this scoreboard with {changes}, agents that declare nothing. Two things differ from the defaults:
  - Hedges. All requests here that may be repeated have an `Idempotency-Key`. By default a key alone allows retries but
    no hedge. An agent stores a key within its own cloud only, and a hedge goes to another cloud while the first attempt
    is running, so the work would be executed twice, once in each cloud. A retry follows a failure and rarely does that.
    So with the default policy no request here is hedged, and a request at a slow target waits. `hedge: on` accepts
    second executions (`keyed_repeats` counts them).
  - Times. A fault lasts {HEAL_S - FAULT_S:g} s in most scenarios, which end {END_S - HEAL_S:g} s later. By default a target is
    ejected for {usual.ejection_s:g} s at first and has a slow start of {usual.slow_start_s:g} s, which suits faults of minutes. The tuned times are as
    short as the scenarios, like those of the peers.

Floor and goals that are not met:
"""  # noqa: E501 - prose


def _missed(router: str, found: Sequence[Verdict]) -> str:
    if not found:
        return f"- `{router}`: not measured yet (`make bench-failover ROUTERS={router}`)."
    missed = [f"{v.scenario}: {DEMANDS[v.demand]} ({v.explanation})" for v in found if v.met is False]
    judged = sum(v.met is not None for v in found)
    if not missed:
        return f"- `{router}`, {KINDS[router]}: none of {judged}."
    return f"- `{router}`, {KINDS[router]}: {len(missed)} of {judged}. {'; '.join(missed)}."


def _bests(router: str, entries: Entries) -> str:
    parts = [f"\n`{router}`, {KINDS[router]}:\n"]
    for column, title in _COMPARISONS.items():
        best = goals.best(entries, column, router)
        own = [name for name, routers in best.items() if router in routers]
        others = [f"{name} ({', '.join(routers)})" for name, routers in best.items() if router not in routers]
        result = f"- {title}: this entry, alone or tied, in {len(own)} of {len(best)} scenarios"
        parts.append(result + (f"; peers in {'; '.join(others)}." if others else "."))
    return "\n".join(parts)
