"""Entries of a scoreboard for tests."""

from __future__ import annotations

from typing import Any

from bench.failover import results
from bench.failover.scenarios import SCENARIOS


def entry(scenario: str, router: str, **changes: Any) -> dict[str, Any]:  # noqa: ANN401 - any figure
    figures: dict[str, Any] = dict.fromkeys(results.COLUMNS, 0) | {
        "sent": 700,
        "p50_ms": 60.0,
        "p99_ms": 150.0,
    }
    more = {"p99_normal_ms": 120.0, "lost_unrepeatable": 0, "version": "1", "at": "2026-01-01T00:00Z"}
    return {**figures, **more, "scenario": scenario, "router": router, **changes}


def scoreboard(**changes: Any) -> list[dict[str, Any]]:  # noqa: ANN401 - any figure
    """All scenarios of both own entries and a peer; `changes` are those of the default entry in `cut`."""
    routers = ("skyfleet", "skyfleet-defaults", "nginx")
    entries = [entry(scenario.name, router) for scenario in SCENARIOS for router in routers]
    own = next(one for one in entries if (one["scenario"], one["router"]) == ("cut", "skyfleet-defaults"))
    own.update(changes)
    return entries
