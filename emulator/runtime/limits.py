"""The clouds' limits at the ingress, one row per cloud.

Sources: AWS `config-rs-invoke-furls` and quotas, Azure `functions-scale` (230 s: the load balancer's idle
limit), Cloud Run quotas. Cloud Run's 32 MB apply to HTTP/1 requests and to replies that are not streamed.
"""

from __future__ import annotations

from dataclasses import dataclass

from emulator.desired.model import Cloud

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """request, reply, streamed: bytes; streamed: replies of unknown length.

    start_s: limit for the start of an instance. answer_s: longest wait for the head of a reply.
    queue_s: how long a request waits for capacity when all instances are busy (0: refused at once).
    """

    request: int
    reply: int
    streamed: int
    start_s: float
    answer_s: float
    queue_s: float


LIMITS: dict[Cloud, Limits] = {
    "aws": Limits(6 * MIB, 6 * MIB, 200 * MIB, start_s=10, answer_s=900, queue_s=0),
    "azure": Limits(100 * MIB, 10**12, 10**12, start_s=60, answer_s=230, queue_s=10),
    "gcp": Limits(32 * MIB, 32 * MIB, 10**12, start_s=240, answer_s=3600, queue_s=10),
}

# A limit of the emulator for one development machine. AWS allows 1000 sandboxes per account.
MOST_INSTANCES = 40
# Instances of one function that start at the same time; more would only slow each other down.
STARTING_AT_ONCE = 4
# An idle instance lives 5 to 15 minutes in Lambda and up to 15 in Cloud Run; the shortest is the strictest
# test.
IDLE_S = 300.0
