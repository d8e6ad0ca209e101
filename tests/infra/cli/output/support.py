"""Facts of a stack and the tables of `skyfleet status`."""

from __future__ import annotations

import io

from rich.console import Console

from infra.cli.output.status_view import RouterAnswer, assemble, render
from infra.operations.emulator.faults import CLOUDS
from infra.operations.json_access import JsonObject

HEALTH: JsonObject = {
    "status": "ok",
    "cloud": "gcp",
    "region": "europe-west1",
    "build": "b1",
    "role": "router",
}


STATUS: JsonObject = {
    "router": {"cloud": "gcp", "region": "europe-west1", "build": "b1", "strategy": "weighted"},
    "targets": [
        {
            "cloud": "aws",
            "region": "eu-west-1",
            "url": "http://a",
            "state": "down",
            "weight": 3,
            "latency_ms": 12.34,
            "cold": False,
            "inflight": 0,
            "reason": "3 of 3 checkers",
        },
        {
            "cloud": "gcp",
            "region": "europe-west1",
            "url": "http://g",
            "state": "healthy",
            "weight": 1,
            "cold": True,
        },
    ],
    "checkers": [{"checker": "aws/eu-west-1", "at": 1.0, "age_s": 61.2, "fresh": False}],
}


def router(url: str, health: JsonObject, status: JsonObject, strategy: str = "weighted") -> RouterAnswer:
    return RouterAnswer(url, health, status=status, strategy=strategy)


def targets(*changes: JsonObject) -> JsonObject:
    """The facts of a stack with one healthy target for each of the changes, which override its fields."""
    healthy: JsonObject = {
        "region": "r1",
        "state": "healthy",
        "reason": "1 of 1 checkers see it up",
        "weight": 3,
        "latency_ms": 6.0,
        "inflight": 0,
        "share": 0.5,
        "backoff_s": 0.0,
        "ejected_s": 0.0,
        "checkers_up": 3,
        "checkers_down": 0,
        "learned": "",
    }
    told = [{**healthy, "cloud": cloud, **change} for cloud, change in zip(CLOUDS, changes, strict=False)]
    return assemble([router("http://g", HEALTH, {"targets": told})], {}, None, "")


def shown(facts: JsonObject, width: int = 120) -> str:
    """The tables on a terminal with this number of columns."""
    stream = io.StringIO()
    console = Console(file=stream, width=width, highlight=False)
    for part in render(facts):
        console.print(part)
    return stream.getvalue()
