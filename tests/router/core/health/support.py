"""Targets for tests of their health."""

from __future__ import annotations

from router.core.targets import Origin, Target


def targets(*weights: float) -> tuple[Target, ...]:
    origin = Origin(False, "127.0.0.1", 9)
    return tuple(
        Target("aws", f"r{n}", "http://127.0.0.1:9", origin, weight) for n, weight in enumerate(weights)
    )
