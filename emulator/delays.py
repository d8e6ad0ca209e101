"""The factor between a real cloud's delays and emulated ones.

One factor covers all delays, so that their ratios stay the same. Each delay is written in the seconds of a
real
cloud, with its source, beside the behaviour that it belongs to.
"""

from __future__ import annotations

from dataclasses import dataclass

# A real minute takes a second: a first deployment waits a few seconds in all.
DEFAULT: float = 1 / 60
MOST: float = 1.0


@dataclass(slots=True)
class Delays:
    """factor: emulator seconds per second of a real cloud; 0: no delays."""

    factor: float = DEFAULT

    def scaled(self, real_s: float) -> float:
        """Emulator seconds that stand for `real_s`."""
        return real_s * self.factor
