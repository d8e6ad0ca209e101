"""Tests of the load that an instance reports."""

from __future__ import annotations

import pytest

from functions.instance import WINDOW_S, InstanceStats


def test_utilisation_and_rate_are_moving_averages() -> None:
    """One request of 0.5 s each second gives a utilisation of 0.5 and a rate of 1/s."""
    stats, now = InstanceStats(1.0), 0.0
    for _ in range(100):
        stats.begin(now)
        stats.end(now + 0.5)
        now += 1.0
    text = stats.load_header(now).decode().removeprefix("TEXT ")
    metrics = dict(part.split("=") for part in text.split(","))
    assert float(metrics["application_utilization"]) == pytest.approx(0.5, abs=0.05)
    assert float(metrics["rps_fractional"]) == pytest.approx(1.0, abs=0.1)
    idle = stats.load_header(now + 20 * WINDOW_S)
    assert idle == b"TEXT application_utilization=0.000,rps_fractional=0.000"
