"""The period of a schedule, in minutes. Pure.

The emulated clouds run schedules by period, not by wall clock: `0 9 * * *` is once a day.
"""

from __future__ import annotations

import re

MINUTES = {"minute": 1, "hour": 60, "day": 1440}
NEVER = 0.0
WEEKDAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
# One numeric field, valid in both kinds of cron: `*`, `*/5`, `0,30`, `9-17/2`.
_PART = r"(\*|\d+(-\d+)?)(/[1-9]\d*)?"
FIELD = rf"{_PART}(,{_PART})*"


def of_rate(expression: str) -> float:
    """Period of `rate(5 minutes)` or `cron(* * * * ? *)`; NEVER for `at(...)`, which runs once."""
    rate = re.fullmatch(r"rate\((\d+) (minute|hour|day)s?\)", expression)
    if rate:
        return float(int(rate[1]) * MINUTES[rate[2]])
    cron = re.fullmatch(r"cron\((.*)\)", expression)
    return of_cron(cron[1]) if cron else NEVER


def of_cron(expression: str) -> float:
    """Mean minutes between two runs, by the fields for minute, hour and day."""
    minute, hour, *days = expression.split()
    per_hour, per_day = _count(minute, 60), _count(hour, 24)
    share_of_days = min((_share(day) for day in days), default=1.0)
    return 1440 / (per_hour * per_day * share_of_days)


def _count(field: str, size: int) -> int:
    """How many of `size` values a cron field names: `*`, `*/5`, `0,30`, `9-17`."""
    total = 0
    for part in field.split(","):
        span, _, step = part.partition("/")
        low, _, high = span.partition("-")
        if span in ("*", "?"):
            width = size
        elif high:
            width = int(high) - int(low) + 1
        else:
            width = size - int(low) if step else 1
        total += -(-width // int(step or 1))
    return max(1, total)


def _share(field: str) -> float:
    """Share of days that a field for days, months or weekdays selects. Only lists of weekdays are
    evaluated.
    """
    names = field.upper().split(",")
    if names == ["MON-FRI"]:
        return 5 / 7
    return len(names) / 7 if all(name in WEEKDAYS for name in names) else 1.0
