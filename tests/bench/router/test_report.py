"""Tests of how the table of `make bench-router` is computed from its samples."""

from __future__ import annotations

from typing import Any

import pytest

from bench.router import contestants as c
from bench.router import report
from bench.router.run import DIRECT
from bench.router.shapes import router_environ
from router.config import router_settings

pytestmark = pytest.mark.pure


def one(per_s: float, p50: float, p99: float = 100.0, cpu_us: float = 10.0) -> dict[str, float]:
    return {"per_s": per_s, "cpu_us": cpu_us, "p50": p50, "p99": p99, "errors": 0}


def samples(requests: dict[str, list[dict[str, float]]]) -> dict[str, Any]:
    return {
        "requests": requests,
        "streams": {},
        "streams_s": 5.0,
        "memory": {c.AWS: 30.0},
        "calls": 200.0,
        "imports": {"bare": [10.0], "asyncio": [60.0], "router": [80.0]},
    }


def cells(found: dict[str, Any], name: str) -> str:
    return next(row.cells for row in report.rows(found) if row.name == name)


def test_ratios_are_of_one_round() -> None:
    """A round in which every contestant was half as fast does not change a ratio."""
    nginx, own = [one(1000, 40), one(500, 80)], [one(200, 100), one(100, 200)]
    found = samples({DIRECT: [one(9000, 10)] * 2, c.NGINX: nginx, c.AWS: own})
    assert cells(found, "requests/s against nginx, as on AWS") == "**0.200** x"


def test_added_latency_is_net_of_the_latency_of_the_targets() -> None:
    """With 10 ms direct, 40 ms by nginx and 100 ms by the router, the router adds three times as much."""
    found = samples({DIRECT: [one(9000, 10)], c.NGINX: [one(1000, 40)], c.AWS: [one(200, 100)]})
    assert cells(found, "added p50 at one client against nginx's") == "**3.00** x"


def test_imports_are_net_of_bare_python() -> None:
    """The start of the interpreter is subtracted from each import time."""
    found = samples({})
    assert cells(found, "import of the router, CPU net of bare Python") == "**70.0** ms"
    assert cells(found, "… of which beyond asyncio") == "**20.0** ms"


def test_a_missing_figure_is_shown_as_not_measured() -> None:
    """An absent contestant affects only its own rows."""
    assert cells(samples({}), "requests/s against nginx, as on Google") == "not measured"
    assert "not measured" in report.table(samples({}))


def test_the_measured_router_has_all_features_on() -> None:
    """It requires an API key, signs its requests and uses the default strategy."""
    settings = router_settings(router_environ([1, 2, 3]), "unbuilt")
    assert settings.api_key_sha256 is not None
    assert settings.strategy == "adaptive"
    assert len(settings.targets) == 3
