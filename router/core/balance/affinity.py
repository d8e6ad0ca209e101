"""Which target each affinity key (an Idempotency-Key) was sent to by this instance: the last thousand.

Rules
- A repeat goes to the same target as long as that serves, even if it is slow or derated: only there is it
  known that the first one still runs, and only there is its reply kept.
- A retry moves a key. A hedge or a duplicate does when its reply was forwarded.
- A key is forgotten while its request is queued and was sent nowhere: no target has it. Else, when targets
  return together from an outage, its requests would all go to the one that was tried last.
- Keys that this instance has not sent follow from a hash (`router.core.balance.strategies.pick_by_key`).
"""

from __future__ import annotations

from typing import Final

# Clients repeat within minutes; an instance rarely gets more requests in that time.
MOST: Final = 1000


class Affinity:
    """Targets by affinity key."""

    __slots__ = ("_targets",)

    def __init__(self) -> None:
        # By hash: a key may be long, and none should be found in a dump of the memory.
        self._targets: dict[int, str] = {}

    def remember(self, affinity_key: bytes, target: str) -> None:
        """A request with this key went to that target."""
        targets, number = self._targets, hash(affinity_key)
        targets.pop(number, None)
        targets[number] = target
        if len(targets) > MOST:
            del targets[next(iter(targets))]

    def forget(self, affinity_key: bytes) -> None:
        """The request with this key was sent nowhere."""
        self._targets.pop(hash(affinity_key), None)

    def get(self, affinity_key: bytes) -> str | None:
        """The target that has it; None: not known."""
        return self._targets.get(hash(affinity_key))
