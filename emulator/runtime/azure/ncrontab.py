"""NCRONTAB, the six fields of Azure's timers: second minute hour day month weekday. Pure.

Fields are `*`, numbers, lists, ranges and steps (`*/10`, `1-5`, `0,30`, `10-50/20`), and names of months and
weekdays in three letters. As in NCRONTAB a day must match both day and weekday. Times are UTC, as on Flex
Consumption.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

MONTHS = "jan feb mar apr may jun jul aug sep oct nov dec"
WEEKDAYS = "sun mon tue wed thu fri sat"
RANGES = (
    ("second", 0, 59),
    ("minute", 0, 59),
    ("hour", 0, 23),
    ("day", 1, 31),
    ("month", 1, 12),
    ("weekday", 0, 6),
)
FURTHEST_DAYS = 366 * 5  # covers a 29 February; beyond it the expression never matches


class BadSchedule(ValueError):
    """Not a schedule; the text says why."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """Allowed values of each field."""

    second: frozenset[int]
    minute: frozenset[int]
    hour: frozenset[int]
    day: frozenset[int]
    month: frozenset[int]
    weekday: frozenset[int]

    def following(self, after: float) -> float:
        """The first matching moment after `after` (both unix seconds)."""
        at = datetime.fromtimestamp(int(after) + 1, UTC)
        for _ in range(FURTHEST_DAYS):
            if self._day_matches(at):
                found = self._in_day(at)
                if found is not None:
                    return found.timestamp()
            at = datetime(at.year, at.month, at.day, tzinfo=UTC) + timedelta(days=1)
        raise BadSchedule("the schedule names no moment within five years")

    def _day_matches(self, at: datetime) -> bool:
        weekday = (at.weekday() + 1) % 7
        return at.month in self.month and at.day in self.day and weekday in self.weekday

    def _in_day(self, at: datetime) -> datetime | None:
        for hour in sorted(value for value in self.hour if value >= at.hour):
            for minute in sorted(self.minute):
                for second in sorted(self.second):
                    found = at.replace(hour=hour, minute=minute, second=second)
                    if found >= at:
                        return found
        return None


def parse(text: str) -> Schedule:
    """The schedule that `text` describes. Raises BadSchedule."""
    fields = text.split()
    if len(fields) == 5:
        fields.insert(0, "0")  # NCRONTAB also takes five fields: whole minutes
    if len(fields) != 6:
        raise BadSchedule(f"{text!r} has {len(fields)} fields; write six, such as `0 */5 * * * *`")
    return Schedule(*(_field(field, *limits) for field, limits in zip(fields, RANGES, strict=True)))


def _field(text: str, name: str, low: int, high: int) -> frozenset[int]:
    values: set[int] = set()
    for part in text.lower().split(","):
        span, slash, step = part.partition("/")
        first, dash, last = span.partition("-")
        try:
            every = int(step) if slash else 1
            start = low if first == "*" else _number(first, name)
            end = _number(last, name) if dash else high if first == "*" or slash else start
        except ValueError:
            raise BadSchedule(f"{part!r} is not a {name}") from None
        if every < 1 or not low <= start <= end <= high:
            raise BadSchedule(f"{part!r} is not within {low}-{high} for the {name}")
        values.update(range(start, end + 1, every))
    return frozenset(values)


def _number(text: str, name: str) -> int:
    names = {"month": MONTHS.split(), "weekday": WEEKDAYS.split()}.get(name, [])
    if text in names:
        return names.index(text) + (1 if name == "month" else 0)
    return 0 if name == "weekday" and text == "7" else int(text)
