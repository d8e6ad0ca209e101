"""The picture of a fleet: what the page, `GET /api/status` and `skyfleet top` show.

Pure: frozen values. `None` means that nothing is known.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RouterView:
    """One router. problem: why it did not answer; empty when it did. requests, failed: of the last minute."""

    cloud: str
    region: str
    url: str
    problem: str
    strategy: str
    requests: int | None
    failed: int | None


@dataclass(frozen=True, slots=True)
class TargetView:
    """One target.

    state: as in `skyfleet status` (healthy, slow-start, degraded, ejected, down, cold, draining, unknown).
    sentence: why it is not healthy, in one sentence; empty when it is. since: Unix seconds. share: fraction
    of the requests, over the routers that answer. latency_ms: expected time to the first event. errors:
    fraction. instances: as the cloud tells them. price: USD per million requests. planned: that it is in the
    config and not deployed, or the other way round. undrained: the routers that have not taken a drain of it
    which others have.
    """

    cloud: str
    region: str
    url: str
    state: str
    sentence: str
    since: float | None
    weight: float
    share: float | None
    latency_ms: float | None
    errors: float | None
    inflight: int
    draining: bool
    instances: int | None = None
    min_instances: int | None = None
    max_instances: int | None = None
    planned: str = ""
    price: float | None = None
    undrained: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """`cloud/region`."""
        return f"{self.cloud}/{self.region}"


@dataclass(frozen=True, slots=True)
class CheckerView:
    """One checker. age_s: of its last snapshot."""

    checker: str
    age_s: float | None
    fresh: bool


@dataclass(frozen=True, slots=True)
class Minute:
    """One minute of the whole fleet, summed over routers. at: its start, Unix seconds, a multiple of 60."""

    at: int
    requests: int
    errors: int
    retries: int
    hedges: int
    ejections: int
    p50_ms: float | None
    p99_ms: float | None


@dataclass(frozen=True, slots=True)
class Picture:
    """The fleet at one moment.

    at: when the routers answered, Unix seconds. version: of the desired state in the stack config. problems:
    sentences about the fleet as a whole, such as a router that does not answer, routers that differ, or a
    config that was changed and not deployed. minutes: the last hour, oldest first, without gaps.
    """

    at: float
    stack: str
    version: str
    routers: tuple[RouterView, ...]
    targets: tuple[TargetView, ...]
    checkers: tuple[CheckerView, ...]
    minutes: tuple[Minute, ...]
    problems: tuple[str, ...] = ()
