"""The shapes of the simulated targets: latency, cold starts, capacity and price of three vendors.

Rules
- Times are lognormal with a median and a sigma (sigma 0.5: p99 is 3.2 medians).
- Each figure has its source. Vendors' means and tails drift. The simulation needs only that the three differ,
  and by how much.
- Cold starts: AWS well under 1 s, Google 0.5 to 2 s, Azure 5 to 30 s (mikhail.io and Microsoft's own lab for
  Flex Consumption). Idle lifetimes 6, 15 and 25 min (mikhail.io).
- Prices: USD per million requests and per second of a function of half a GB (vendors' pages, United States).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Shape:
    """The functions of one vendor.

    median_s, sigma: time to the first event of a warm reply, with the agent's work. cold_s, cold_sigma: time
    of a cold start. idle_s: lifetime of an unused sandbox. slots: concurrent requests in one sandbox. queues:
    whether a full target queues requests; otherwise it answers 429. stops: whether the work ends when the
    client leaves. per_million: USD per million requests. per_s: USD per second of work on one request.
    """

    cloud: str
    median_s: float
    sigma: float
    cold_s: float
    cold_sigma: float
    idle_s: float
    slots: int
    queues: bool
    stops: bool
    per_million: float
    per_s: float


# The agent asks a model, so its first event takes some 0.4 s; the runtimes themselves add 70 to 100 ms.
AWS: Final = Shape("aws", 0.36, 0.5, 0.4, 0.4, 360.0, 1, False, False, 0.20, 0.5 * 1.33334e-5)
AZURE: Final = Shape("azure", 0.44, 0.5, 8.0, 0.55, 1500.0, 4, True, True, 0.40, 0.5 * 2.6e-5)
GCP: Final = Shape("gcp", 0.40, 0.5, 1.0, 0.35, 900.0, 4, True, True, 0.40, 2.4e-5 + 0.5 * 2.5e-6)

SHAPES: Final = (AWS, AZURE, GCP)
# No cold start seen with an image this small took longer.
COLD_CAP_S: Final = 30.0
# Targets and routers are in three places.
HOMES: Final = 3
# One-way time on the wire within a place, and to another continent.
NEAR_S: Final = 0.005
FAR_S: Final = 0.040
