"""`skyfleet:emulator`: how fast the emulated clouds are; every mistake in it is noted.

The rule of this file: pure. A stack that says `skyfleet:emulator` is an emulated one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from infra.config.validation import Mistakes

EXAMPLE = "{minuteS: 5, delays: 0.02}"
# The emulated clouds take no longer "minute" than an hour: nobody would ever see a check.
LONGEST_MINUTE_S = 3600
# Of the waits of a real cloud the emulated ones take a sixtieth: a minute becomes a second.
DEFAULT_DELAYS = 1 / 60


@dataclass(frozen=True, slots=True)
class Emulated:
    """minute_s: length of the emulated schedulers' minute. delays: emulator seconds per second that something
    takes in a real cloud."""

    minute_s: float = 60
    delays: float = DEFAULT_DELAYS


EMULATED = Emulated()


def read_emulated(mistakes: Mistakes, value: object) -> Emulated:
    """Both numbers, each with its default."""
    emulator: Mapping[str, object] = mistakes.mapping("skyfleet:emulator", value, EXAMPLE)
    mistakes.known_keys("skyfleet:emulator", emulator, ("minuteS", "delays"), EXAMPLE)
    delays = mistakes.number(
        "skyfleet:emulator.delays", emulator.get("delays"), DEFAULT_DELAYS, least=0, most=1, example="0.02"
    )
    return Emulated(_minute(mistakes, emulator.get("minuteS")), delays)


def _minute(mistakes: Mistakes, value: object) -> float:
    """What the emulated clouds take as a minute."""
    key, minute = (
        "skyfleet:emulator.minuteS",
        mistakes.number("skyfleet:emulator.minuteS", value, 60, least=0.5),
    )
    if minute > LONGEST_MINUTE_S:
        mistakes.add(key, value, f"at most {LONGEST_MINUTE_S} seconds", "5")
    return minute
