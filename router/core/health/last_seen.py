"""When each target last gave a sign of life: the only home of that fact.

Rules
- `reply`: any response of its agent to a request. `probe`: its answer to this router's own probe.
  `checker`: its newest answer to a checker's probe. All in unix seconds.
- A target that was alive within `warm_for_s` is warm: a slow answer is then no cold start.
- Own evidence stands against a single checker (`proven`): the last attempt got a good reply, or a probe was
  answered, within `proof_s`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from router.core.health.machine import Health
from router.core.policy import SKEW_S, Policy

NEVER = float("-inf")


@dataclass(slots=True)
class LastSeen:
    """The signs of life of one target."""

    reply: float = NEVER
    probe: float = NEVER
    checker: float = NEVER

    def is_warm(self, now: float, policy: Policy) -> bool:
        """Whether it was alive lately, give or take what clocks differ by."""
        since, until = now - policy.warm_for_s, now + SKEW_S
        return since < self.reply <= until or since < self.checker <= until or since < self.probe <= until

    def replied_since(self, since: float, now: float) -> bool:
        """Whether its agent responded after that time. A reply from the future was noted before the clock
        was set
        back, and proves nothing."""
        return since < self.reply <= now


def proven(
    seen: Mapping[str, LastSeen], health: Mapping[str, Health], now: float, policy: Policy
) -> frozenset[str]:
    """The targets that a single checker's word does not put out."""
    return frozenset(
        key
        for key, one in seen.items()
        if 0 <= now - one.probe <= policy.proof_s
        or (not health[key].failures and 0 <= now - one.reply <= policy.proof_s)
    )
