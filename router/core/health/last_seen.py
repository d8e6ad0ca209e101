"""When each target last gave a sign of life: the only home of that fact.

Rules
- `reply`: any response of its agent to a request. `probe`: its answer to this router's own probe.
  `checker`: its newest answer to a checker's probe. All in unix seconds.
- A target that was alive within `WARM_S` is warm: a slow answer is then no cold start.
- Own evidence stands against a single checker (`proven`): the last attempt got a good reply, or a probe was
  answered, within `PROOF_S`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from router.core.health.machine import Health
from router.core.policy import SKEW_S, WARM_S

NEVER: Final = float("-inf")
# A single checker's "down" does not count against own good replies younger than this: three failed
# attempts eject the target sooner.
PROOF_S: Final = 15.0


class LastSeen:
    """The signs of life of one target."""

    __slots__ = ("checker", "probe", "reply")

    def __init__(self, reply: float = NEVER, probe: float = NEVER, checker: float = NEVER) -> None:
        self.reply, self.probe, self.checker = reply, probe, checker

    def is_warm(self, now: float) -> bool:
        """Whether it was alive within `WARM_S`; clocks may differ by `SKEW_S`."""
        since, until = now - WARM_S, now + SKEW_S
        return since < self.reply <= until or since < self.checker <= until or since < self.probe <= until

    def replied_since(self, since: float, now: float) -> bool:
        """Whether its agent responded after `since`. A reply from the future predates a clock that was set
        back, and proves nothing."""
        return since < self.reply <= now


def proven(seen: Mapping[str, LastSeen], health: Mapping[str, Health], now: float) -> frozenset[str]:
    """The targets that a single checker's word does not put out."""
    return frozenset(
        key
        for key, one in seen.items()
        if 0 <= now - one.probe <= PROOF_S or (not health[key].failures and 0 <= now - one.reply <= PROOF_S)
    )
