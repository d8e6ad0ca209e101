"""The environment of routers and checkers as the deployment writes it: keys, JSON forms and ranges.

`infra` writes and checks these values, `router` reads and checks them again. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

# Environment keys whose values are JSON.
TARGETS: Final = "SKYFLEET_TARGETS"
ROUTERS: Final = "SKYFLEET_ROUTERS"
CHECK: Final = "SKYFLEET_CHECK"
POLICY: Final = "SKYFLEET_POLICY"

# Minimum and maximum of the policy's numbers. Below the minimum a timer of the event loop or one round trip
# is the limit; above the maximum the unit is probably wrong, or another limit applies first. Where 0 is
# allowed, it switches the feature off.
POLICY_NUMBERS: Final[Mapping[str, tuple[float, float]]] = {
    "connectTimeoutS": (0.01, 60),
    "probeAfterS": (0.01, 3600),
    # No platform waits longer than an hour for a response.
    "deadlineS": (0.1, 3600),
    "slowStartS": (0.1, 3600),
    # The maximum is that of an ejection.
    "ejectionS": (0.1, 300),
    # A checker keeps 10 probe results of a target, so no longer streak is visible.
    "fall": (1, 10),
    "rise": (1, 10),
    "freshS": (1, 3600),
    "hedgeShare": (0.001, 1),
    "extraUsdPerHour": (0, 1_000_000),
    "latencyGoalMs": (1, 3_600_000),
    "queueTimeoutS": (0, 3600),
    "attempts": (1, 10),
}
WHOLE_NUMBERS: Final = frozenset({"fall", "rise", "attempts"})
HEDGES: Final = ("auto", "on", "off")
# Members of `allowedOverrides`: what a request may choose in its header fields.
OVERRIDES: Final = ("strategy", "redundant")
POLICY_KEYS: Final = (*POLICY_NUMBERS, "hedge", "allowedOverrides")

# Beyond a millionfold difference the lesser target might as well be a standby (weight 0).
WEIGHTS: Final = (0.000_001, 1_000_000)
# USD per million requests: a thousand dollars for one request.
MAX_PRICE: Final = 1_000_000_000
# List price of the invocations alone, USD per million requests: Lambda, Azure Functions on Flex Consumption
# (its older Consumption plan costs 0.20), Cloud Run functions. `infra/costs.py` names the sources.
LIST_PRICES: Final[Mapping[str, float]] = {"aws": 0.20, "azure": 0.40, "gcp": 0.40}
TARGET_KEYS: Final = ("cloud", "region", "url", "weight", "repeatable", "price")
CHECK_KEYS: Final = ("probes", "apartS", "timeoutS", "coldTimeoutS")


def snake_case(key: str) -> str:
    """The Python name of a camelCase key, e.g. probe_after_s."""
    return "".join(f"_{char.lower()}" if char.isupper() else char for char in key)
