"""The minutes that routers keep: read from `GET /api/minutes`, and summed over routers.

Pure, but for `get_minutes`. A minute has a histogram of the time to the first byte of a reply, so that
percentiles are those of all routers together. A percentile is the upper bound of its bucket.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast

from infra.manager.fleet.picture import Minute
from infra.operations import json_access
from infra.operations.json_access import JsonObject

if TYPE_CHECKING:
    import requests

# How often a router is asked for its minutes.
MINUTES_S: Final = 5.0
MINUTE_S: Final = 60
HOUR: Final = 60


@dataclass(frozen=True, slots=True)
class RouterMinute:
    """One minute of one router. at: its start, Unix seconds. latency: requests by upper bound in ms; the
    last bucket's is infinite."""

    at: int
    requests: int
    errors: int
    retries: int
    hedges: int
    ejections: int
    latency: Mapping[float, int]


def get_minutes(
    http: requests.Session, url: str, headers: Mapping[str, str], timeout_s: float
) -> tuple[RouterMinute, ...]:
    """The minutes of a router; empty from one of a release without them. Raises requests' errors."""
    reply = http.get(f"{url}/api/minutes", headers=dict(headers), timeout=timeout_s)
    return parse(json_access.parse(reply.text)) if reply.status_code == 200 else ()


def parse(document: object) -> tuple[RouterMinute, ...]:
    """The minutes of a document, oldest first; what is not as it should be is left out."""
    found = json_access.as_object(document)
    bounds = [*_numbers(found.get("bounds_ms")), math.inf]
    return tuple(_minute(one, bounds) for one in json_access.objects(found.get("minutes")))


def _minute(one: JsonObject, bounds: Sequence[float]) -> RouterMinute:
    counts = _numbers(one.get("latency"))
    return RouterMinute(
        at=_count(one, "at"),
        requests=_count(one, "requests"),
        errors=_count(one, "errors"),
        retries=_count(one, "retries"),
        hedges=_count(one, "hedges"),
        ejections=_count(one, "ejections"),
        latency={bound: int(count) for bound, count in zip(bounds, counts, strict=False) if count},
    )


def last_hour(of_routers: Iterable[Sequence[RouterMinute]], now: float) -> tuple[Minute, ...]:
    """The last hour of all routers, oldest first and without gaps; empty while no router has told one."""
    by_start: dict[int, list[RouterMinute]] = {}
    for minutes in of_routers:
        for minute in minutes:
            by_start.setdefault(minute.at, []).append(minute)
    if not by_start:
        return ()
    last = int(now // MINUTE_S) * MINUTE_S
    starts = range(last - (HOUR - 1) * MINUTE_S, last + 1, MINUTE_S)
    return tuple(_sum(start, by_start.get(start, [])) for start in starts)


def _sum(at: int, parts: Sequence[RouterMinute]) -> Minute:
    latency: dict[float, int] = {}
    for part in parts:
        for bound, count in part.latency.items():
            latency[bound] = latency.get(bound, 0) + count
    return Minute(
        at=at,
        requests=sum(part.requests for part in parts),
        errors=sum(part.errors for part in parts),
        retries=sum(part.retries for part in parts),
        hedges=sum(part.hedges for part in parts),
        ejections=sum(part.ejections for part in parts),
        p50_ms=percentile(latency, 0.5),
        p99_ms=percentile(latency, 0.99),
    )


def percentile(latency: Mapping[float, int], part: float) -> float | None:
    """The bound under which at least `part` of the requests are; None without any, or beyond the last bound.

    latency: requests by upper bound.
    """
    left = part * sum(latency.values())
    for bound in sorted(latency):
        left -= latency[bound]
        if left <= 0:
            return bound if math.isfinite(bound) else None
    return None


def _count(one: JsonObject, key: str) -> int:
    return int(json_access.number(one.get(key)) or 0)


def _numbers(value: object) -> list[float]:
    items = cast("list[object]", value) if isinstance(value, list) else []
    return [json_access.number(item) or 0.0 for item in items]
