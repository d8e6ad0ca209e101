"""The scoreboard in words: the two lines of this router, the goals they miss, and the rows they are best in.

Rule: every number and every verdict is computed; only the reasons are typed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from bench.failover import goals
from bench.failover.goals import DEFAULTS, OURS, TUNED, Verdict
from bench.failover.peers import ROUTERS
from bench.failover.peers.skyfleet import POLICY
from bench.failover.rows import END_S, FAULT_S, HEAL_S
from router.core.policy import Policy

DEMANDS: Final[Mapping[str, str]] = {
    "floor": "floor: no peer loses fewer",
    "lost": "0 lost",
    "repeats": "0 wrong repeats",
    "p99": "p99 under twice normal",
    "extra": "extra under 5 %",
}
KINDS: Final[Mapping[str, str]] = {TUNED: "tuned for this scoreboard", DEFAULTS: "policy untouched"}
_QUESTIONS: Final[Mapping[str, str]] = {
    "lost": "Fewest lost",
    "p99_ms": "Lowest p99 during the fault",
    "detection_ms": "First without trouble",
    "recovery_ms": "First to use the healed target again",
}
Lines = Sequence[dict[str, Any]]


def text(lines: Lines, found: Mapping[str, Sequence[Verdict]]) -> str:
    """The first section of the page. found: the verdicts on each of ours."""
    peers = ", ".join(router.name for router in ROUTERS if router.name not in OURS)
    parts = [
        "## Where it is best, and where not\n",
        _two_lines(),
        *(_missed(router, found[router]) for router in OURS),
        (
            f"\nBest means: of {peers} and the one line itself, never of the other one. A time within "
            f"{100 * goals.TIE_SHARE:.0f} % or {goals.TIE_MS:.0f} ms of the lowest is a tie, and a tie "
            "counts as best; requests lost are compared exactly."
        ),
        *(_bests(router, lines) for router in OURS if found[router]),
    ]
    return "\n".join(parts) + "\n"


def _two_lines() -> str:
    usual = Policy()
    told = ", ".join(f"`{name}: {value}`" for name, value in POLICY.items())
    return f"""This router has two lines on the scoreboard. Code, checkers and requests are the same, only the policy differs:

- `{DEFAULTS}`: its policy is untouched, as in a deployment that sets nothing.
- `{TUNED}`: tuned for this scoreboard with {told}. Two things are different:
  - Which requests may be hedged. All that may be repeated carry an `Idempotency-Key` here. By default a key alone
    allows retries but no hedge, since an agent remembers a key within its own cloud only and a hedge goes to
    another: the work may run twice, once in each cloud. So with the defaults nothing on this scoreboard is hedged,
    and a request at a slow target waits for it. `hedge: on` accepts second runs (`keyed_repeats` counts them).
    Agents that declare themselves `repeatable` are hedged without it, which no target here does.
  - How long things last. A fault lasts {HEAL_S - FAULT_S:g} s in most rows, and the row ends {END_S - HEAL_S:g} s later. By default a
    target is ejected for {usual.ejection_s:g} s at first and has a slow start of {usual.slow_start_s:g} s, which suits faults of minutes. The tuned
    times are as short as the rows, as the peers' times are.

What of the floor and the goals is not met:
"""  # noqa: E501 - prose


def _missed(router: str, found: Sequence[Verdict]) -> str:
    if not found:
        return f"- `{router}`: not measured yet (`make bench-failover ROUTERS={router}`)."
    missed = [f"{v.fault}: {DEMANDS[v.demand]} ({v.says})" for v in found if v.met is False]
    judged = sum(v.met is not None for v in found)
    if not missed:
        return f"- `{router}`, {KINDS[router]}: nothing, all {judged} are met."
    return f"- `{router}`, {KINDS[router]}: {len(missed)} of {judged}. {'; '.join(missed)}."


def _bests(router: str, lines: Lines) -> str:
    parts = [f"\n`{router}`, {KINDS[router]}:\n"]
    for column, title in _QUESTIONS.items():
        best = goals.best(lines, column, router)
        own = [fault for fault, routers in best.items() if router in routers]
        others = [f"{fault} ({', '.join(names)})" for fault, names in best.items() if router not in names]
        said = f"- {title}: this line, alone or with peers, in {len(own)} of {len(best)} rows"
        parts.append(said + (f"; peers in {'; '.join(others)}." if others else "."))
    return "\n".join(parts)
