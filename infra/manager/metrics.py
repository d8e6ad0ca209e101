"""The picture as metrics for Prometheus.

Gauges only: a router is many instances that start and end, so the manager has what they wrote for each minute
and no counter that never falls. `skyfleet_minute_*` is the newest complete minute.
https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from infra.manager.fleet.picture import Minute, Picture, TargetView

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST
MINUTE_S: Final = 60
_TARGET: Final = ("cloud", "region")


class _Collector(Collector):
    """Hands one picture to prometheus_client."""

    def __init__(self, picture: Picture) -> None:
        self._picture = picture

    def collect(self) -> Iterator[Metric]:
        yield from _targets(self._picture)
        yield from _routers(self._picture)
        complete = [one for one in self._picture.minutes if one.at + MINUTE_S <= self._picture.at]
        yield from _minute(complete[-1] if complete else None)


def exposition(picture: Picture) -> bytes:
    """The text that a scraper reads."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(picture))
    return generate_latest(registry)


def _targets(picture: Picture) -> Iterator[Metric]:
    state = GaugeMetricFamily(
        "skyfleet_target_state", "1 for the state of a target.", labels=(*_TARGET, "state")
    )
    for target in picture.targets:
        state.add_metric([target.cloud, target.region, target.state], 1)
    yield state
    values: tuple[tuple[str, str, list[float | None]], ...] = (
        ("weight", "Configured weight.", [one.weight for one in picture.targets]),
        ("share", "Fraction of requests.", [one.share for one in picture.targets]),
        ("latency_seconds", "Expected time to the first event.", [_seconds(one) for one in picture.targets]),
        ("error_ratio", "Fraction of failed requests.", [one.errors for one in picture.targets]),
        ("active_requests", "Requests in flight.", [one.inflight for one in picture.targets]),
        ("draining", "1 while it drains.", [float(one.draining) for one in picture.targets]),
        (
            "instances",
            "Running instances, where the cloud tells.",
            [one.instances for one in picture.targets],
        ),
    )
    for name, meaning, found in values:
        family = GaugeMetricFamily(f"skyfleet_target_{name}", meaning, labels=_TARGET)
        for target, value in zip(picture.targets, found, strict=True):
            if value is not None:
                family.add_metric([target.cloud, target.region], value)
        yield family


def _routers(picture: Picture) -> Iterator[Metric]:
    answers = GaugeMetricFamily("skyfleet_router_up", "1 if a router answers.", labels=_TARGET)
    for router in picture.routers:
        answers.add_metric([router.cloud, router.region], float(not router.problem))
    yield answers
    fresh = GaugeMetricFamily(
        "skyfleet_checker_fresh", "1 if a checker's snapshot counts.", labels=("checker",)
    )
    for checker in picture.checkers:
        fresh.add_metric([checker.checker], float(checker.fresh))
    yield fresh
    yield GaugeMetricFamily("skyfleet_problems", "Problems of the fleet as a whole.", len(picture.problems))


def _minute(minute: Minute | None) -> Iterator[Metric]:
    if minute is None:
        return
    values: tuple[tuple[str, str, float | None], ...] = (
        ("start_timestamp_seconds", "Start of the minute.", minute.at),
        ("requests", "Requests.", minute.requests),
        ("errors", "Requests that failed.", minute.errors),
        ("retries", "Retries.", minute.retries),
        ("hedges", "Hedges.", minute.hedges),
        ("ejections", "Ejections.", minute.ejections),
        ("p50_seconds", "Median latency.", minute.p50_ms and minute.p50_ms / 1000),
        ("p99_seconds", "99th percentile of latency.", minute.p99_ms and minute.p99_ms / 1000),
    )
    for name, meaning, value in values:
        if value is not None:
            yield GaugeMetricFamily(f"skyfleet_minute_{name}", f"{meaning} In the newest minute.", value)


def _seconds(target: TargetView) -> float | None:
    return None if target.latency_ms is None else target.latency_ms / 1000
