"""The load report of a response: the header `endpoint-load-metrics` in the text form of ORCA.

Envoy's client-side weighted round robin reads the same form: `TEXT name=value,name=value`.
https://github.com/envoyproxy/envoy/blob/main/source/common/orca/orca_parser.cc
"""

from __future__ import annotations

import math
from typing import Final

LOAD_HEADER: Final = b"endpoint-load-metrics"
_UTILIZATION: Final = b"application_utilization="
_UTILIZATION_LENGTH: Final = len(_UTILIZATION)


def format_load(utilization: float, rps: float) -> bytes:
    """The header's value. utilization: mean number of active requests. rps: requests per second."""
    return f"TEXT application_utilization={utilization:.3f},rps_fractional={rps:.3f}".encode()


def parse_load(report: bytes) -> float | None:
    """The utilization of a load report; None if it has none, or no finite number of at least 0."""
    at = report.find(_UTILIZATION)
    if at < 0:
        return None
    try:
        load = float(report[at + _UTILIZATION_LENGTH :].split(b",", 1)[0])
    except ValueError:
        return None
    return load if 0.0 <= load < math.inf else None
