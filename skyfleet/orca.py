"""The load report of a response: the header `endpoint-load-metrics` in the text form of ORCA.

Envoy's client-side weighted round robin reads the same form: `TEXT name=value,name=value`.
https://github.com/envoyproxy/envoy/blob/main/source/common/orca/orca_parser.cc
"""

from __future__ import annotations

import math
from typing import Final

LOAD_HEADER: Final = b"endpoint-load-metrics"
_UTILIZATION: Final = b"application_utilization="


def format_load(utilization: float, rps: float) -> bytes:
    """The header's value. utilization: mean number of active requests. rps: requests per second."""
    return f"TEXT application_utilization={utilization:.3f},rps_fractional={rps:.3f}".encode()


def parse_utilization(value: bytes) -> float | None:
    """The utilization of a load report; None if it has none, or no finite number of at least 0."""
    at = value.find(_UTILIZATION)
    if at < 0:
        return None
    try:
        utilization = float(value[at + len(_UTILIZATION) :].split(b",", 1)[0])
    except ValueError:
        return None
    return utilization if 0 <= utilization < math.inf else None
