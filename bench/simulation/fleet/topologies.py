"""The topologies: numbers of targets and router instances, and the request rate.

Rules
- The request rate does not depend on the number of instances. With more instances each sees less.
- Each cloud has the same number of targets, and all weights are equal, so that shares can be compared.
- A target starts with about twice the sandboxes that its equal share of the load needs, and may start twice
  as many more. Three times the load exceeds its capacity until these have started.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

from bench.simulation.fleet.shapes import SHAPES, Shape
from router.core.targets import Origin, Target


@dataclass(frozen=True)
class Topology:
    """One topology. rate: requests per second. fault_s, heal_s, end_s: seconds from the start."""

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
        """The targets of the router's configuration."""
        return tuple(_target(shape, number) for number, shape in enumerate(self.shapes))

    @cached_property
    def faulty(self) -> frozenset[int]:
        """Numbers of the targets with the fault: every tenth, at least one, the first of them in Azure."""
        count = max(1, self.targets // 10)
        return frozenset((1 + number * 10) % self.targets for number in range(count))

    def sandboxes(self, shape: Shape) -> tuple[int, int]:
        """Number of sandboxes of a target at the start, and its maximum."""
        busy = self.rate / self.targets * shape.median_s * math.exp(shape.sigma**2 / 2)
        warm = max(1, math.ceil(2.0 * busy / shape.slots))
        return warm, 3 * warm


def _target(shape: Shape, number: int) -> Target:
    region = f"r{number:03d}"
    host = f"{shape.cloud}-{region}.example.net"
    return Target(shape.cloud, region, f"https://{host}", Origin(True, host, 443))
