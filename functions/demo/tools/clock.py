"""The time, date or UTC offset of a place such as `Tokyo`, `Europe/Berlin` or `UTC+2`."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from functions.demo.tools.base import Arguments, Context, Observation, Tool, ToolFailed, schema

WHAT: Final = ("time", "date", "weekday", "offset")
# The areas of the time zone database, in which a city is searched.
AREAS: Final = ("Europe", "America", "Asia", "Africa", "Australia", "Pacific", "Atlantic", "Indian")
# Common places that the database lists under another city.
PLACES: Final = {
    "beijing": "Asia/Shanghai",
    "boston": "America/New_York",
    "california": "America/Los_Angeles",
    "china": "Asia/Shanghai",
    "france": "Europe/Paris",
    "frankfurt": "Europe/Berlin",
    "germany": "Europe/Berlin",
    "hamburg": "Europe/Berlin",
    "india": "Asia/Kolkata",
    "ireland": "Europe/Dublin",
    "japan": "Asia/Tokyo",
    "munich": "Europe/Berlin",
    "mumbai": "Asia/Kolkata",
    "nyc": "America/New_York",
    "san francisco": "America/Los_Angeles",
    "seattle": "America/Los_Angeles",
    "washington": "America/New_York",
}
OFFSET: Final = re.compile(r"^(?:utc|gmt)?\s*([+-])\s*(\d{1,2})(?::?(\d{2}))?$", re.IGNORECASE)
MAX_PLACE: Final = 60


def zone(place: str) -> tuple[str, tzinfo]:
    """The name and zone of a place. Raises ToolFailed if it is unknown."""
    wanted = " ".join(place.split()).strip("?.! ")[:MAX_PLACE]
    if wanted.lower() in ("", "utc", "gmt", "z"):
        return "UTC", UTC
    if (match := OFFSET.match(wanted)) is not None:
        return wanted.upper(), _fixed(wanted, match)
    plain = PLACES.get(wanted.lower(), wanted).replace(" ", "_")
    city = plain.title() if plain.islower() else plain
    candidates = [plain, city] if "/" in plain else [f"{area}/{city}" for area in AREAS]
    for name in candidates:
        try:
            return name, ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError):  # ZoneInfo raises these for invalid names
            continue
    raise ToolFailed(
        f"I do not know the time zone of {wanted!r}. Name a large city, a zone like Europe/Berlin, or UTC+2."
    )


def _fixed(text: str, match: re.Match[str]) -> tzinfo:
    sign, hours, minutes = match.groups()
    delta = timedelta(hours=int(hours), minutes=int(minutes or 0))
    if delta > timedelta(hours=14) or int(minutes or 0) > 59:
        raise ToolFailed(f"{text} is no offset in use; they go from UTC-12 to UTC+14.")
    return timezone(-delta if sign == "-" else delta)


async def _run(arguments: Arguments, context: Context) -> Observation:
    what = str(arguments.get("what") or "time")
    if what not in WHAT:
        raise ToolFailed(f"I can tell {', '.join(WHAT)}, not {what[:40]!r}.")
    name, where = zone(str(arguments.get("place") or "UTC"))
    now = datetime.fromtimestamp(context.now(), where)
    offset = _offset(now)
    match what:
        case "date":
            value = f"{now:%Y-%m-%d}"
            return Observation(value, f"In {name} it is {now:%A}, {value}.")
        case "weekday":
            return Observation(f"{now:%A}", f"In {name} it is {now:%A}.")
        case "offset":
            return Observation(offset, f"{name} is at {offset} now.")
        case _:
            value = f"{now:%H:%M:%S}"
            return Observation(value, f"In {name} it is {value} on {now:%Y-%m-%d} ({offset}).")


def _offset(now: datetime) -> str:
    minutes = int((now.utcoffset() or timedelta()).total_seconds() // 60)
    sign = "-" if minutes < 0 else "+"
    return f"UTC{sign}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"


CLOCK: Final = Tool(
    name="clock",
    description="The current time, date, weekday or UTC offset of a place.",
    parameters=schema(
        place={
            "type": "string",
            "description": "a city, a zone like Europe/Berlin, or UTC+2; UTC when left out",
        },
        what={"type": "string", "enum": list(WHAT)},
    ),
    run=_run,
)
