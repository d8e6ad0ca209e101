"""Where this instance sent requests with a name (an Idempotency-Key), the last thousand of them.

Rules
- A repeat goes where the one before it went as long as that target serves, even if it is slow or in doubt
  just now: only there can the repeat be told that the first one still runs, and there its reply is kept.
- A retry moves a name. A hedge or a copy does when its reply was passed on.
- Names that this instance has not sent follow from themselves (`router.core.balance.strategies.named`).
"""

from __future__ import annotations

from typing import Final

# Callers repeat within minutes; an instance rarely sees more requests in that time.
MOST: Final = 1000


class Affinity:
    """Targets by name."""

    __slots__ = ("_places",)

    def __init__(self) -> None:
        # By hash: a name may be long, and nobody need find one in a dump of the memory.
        self._places: dict[int, str] = {}

    def sent(self, name: bytes, key: str) -> None:
        """A request of this name went to the target with this key."""
        places, number = self._places, hash(name)
        places.pop(number, None)
        places[number] = key
        if len(places) > MOST:
            del places[next(iter(places))]

    def place(self, name: bytes) -> str | None:
        """The key of the target that has it; None: not known."""
        return self._places.get(hash(name))
