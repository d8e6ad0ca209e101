"""The topologies: how many targets and router instances there are, and how much they are asked.

Rules
- The load does not depend on the number of instances: what changes is how little each of them sees alone.
- Every cloud has the same share of targets; all weights are equal, so that shares can be compared.
- A target has about twice the sandboxes that its equal share of the load needs, and may start twice as many
  more: load matters, and a step to three times the load does not fit before they have started.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

from bench.simulation.shapes import SHAPES, Shape
from router.core.targets import Origin, Target


@dataclass(frozen=True)
class Topology:
    """One topology. rate: requests a second. fault_s, heal_s, end_s: seconds from the start."""

    targets: int
    instances: int
    rate: float = 45.0
    fault_s: float = 40.0
    heal_s: float = 100.0
    end_s: float = 170.0

    @property
    def name(self) -> str:
        return f"{self.targets}x{self.instances}"

    @cached_property
    def shapes(self) -> tuple[Shape, ...]:
        """The shape of each target, in order."""
        return tuple(SHAPES[number % len(SHAPES)] for number in range(self.targets))

    @cached_property
    def fleet(self) -> tuple[Target, ...]:
        """The targets as a router's configuration has them."""
        return tuple(_target(shape, number) for number, shape in enumerate(self.shapes))

    @cached_property
    def faulty(self) -> frozenset[int]:
        """Which targets a fault hits: every tenth, at least one, of all clouds but beginning with Azure."""
        count = max(1, self.targets // 10)
        return frozenset((1 + number * 10) % self.targets for number in range(count))

    def sandboxes(self, shape: Shape) -> tuple[int, int]:
        """How many a target has at the start, and at most."""
        busy = self.rate / self.targets * shape.median_s * math.exp(shape.sigma**2 / 2)
        warm = max(1, math.ceil(2.0 * busy / shape.slots))
        return warm, 3 * warm


def _target(shape: Shape, number: int) -> Target:
    region = f"r{number:03d}"
    host = f"{shape.cloud}-{region}.example.net"
    return Target(shape.cloud, region, f"https://{host}", Origin(True, host, 443))
