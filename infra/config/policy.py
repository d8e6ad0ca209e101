"""`skyfleet:router.policy`: ranges and names that the config may set.

Pure. The defaults are the router's (router/core/policy.py).
"""

from __future__ import annotations

from collections.abc import Mapping

from infra.config.validation import Validator, one_of

# Minimum and maximum of each number.
POLICY_NUMBERS: Mapping[str, tuple[float, float]] = {
    "connectTimeoutS": (0.01, 60),
    "probeAfterS": (0.01, 3600),
    "deadlineS": (0.1, 3600),
    "slowStartS": (0.1, 3600),
    "ejectionS": (0.1, 300),
    "fall": (1, 10),
    "rise": (1, 10),
    "freshS": (1, 3600),
    "hedgeShare": (0.001, 1),
    "extraUsdPerHour": (0, 1_000_000),
    "latencyGoalMs": (1, 3_600_000),
    "queueTimeoutS": (0, 3600),
    "attempts": (1, 10),
}
WHOLE_NUMBERS = ("fall", "rise", "attempts")
HEDGES = ("auto", "on", "off")
OVERRIDES = ("strategy", "redundant")
POLICY_KEYS = (*POLICY_NUMBERS, "hedge", "allowedOverrides")


def read_policy(validator: Validator, value: object) -> dict[str, object]:
    key, example = "skyfleet:router.policy", "{probeAfterS: 2}"
    policy = validator.mapping(key, value, example)
    validator.known_keys(key, policy, POLICY_KEYS, example)
    found: dict[str, object] = {}
    for name, (least, most) in POLICY_NUMBERS.items():
        if name in policy:
            whole, example = name in WHOLE_NUMBERS, "0.5" if most == 1 else "2"
            found[name] = validator.number(
                f"{key}.{name}", policy[name], 1, minimum=least, maximum=most, example=example, integer=whole
            )
    if "hedge" in policy:
        given = policy["hedge"]
        if isinstance(given, bool):  # what some readers of YAML make of a bare `on` or `off`
            given = "on" if given else "off"
        found["hedge"] = validator.choice(f"{key}.hedge", given, HEDGES, "auto")
    if "allowedOverrides" in policy:
        found["allowedOverrides"] = _allowed_overrides(
            validator, f"{key}.allowedOverrides", policy["allowedOverrides"]
        )
    return found


def _allowed_overrides(validator: Validator, key: str, value: object) -> list[str]:
    """An empty list: callers may choose nothing."""
    names = [] if value == [] else validator.strings(key, value, "[strategy]")
    for name in names:
        if name not in OVERRIDES:
            validator.error(key, name, one_of(OVERRIDES, name), "[strategy]")
    return names
