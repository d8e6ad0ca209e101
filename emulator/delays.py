"""How much shorter than in a real cloud everything takes in the emulated ones that needs time there.

The rule of this file: one factor for all of it, so that what waits and what is waited for keep their ratio.
Behaviours are written down in the seconds of a real cloud, with their source, where they belong.
"""

from __future__ import annotations

from dataclasses import dataclass

# A real minute takes a second: a first deployment waits a few seconds in all.
DEFAULT: float = 1 / 60
MOST: float = 1.0


@dataclass(slots=True)
class Delays:
    """factor: emulator seconds per second of a real cloud; 0: nothing takes time."""

    factor: float = DEFAULT

    def scaled(self, real_s: float) -> float:
        """Emulator seconds that stand for `real_s`."""
        return real_s * self.factor
