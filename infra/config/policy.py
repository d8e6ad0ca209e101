"""Read `skyfleet:router.policy`.

Pure. Ranges and names are in skyfleet/contract.py, defaults in router/core/policy.py.
"""

from __future__ import annotations

from infra.config.validation import Validator, one_of
from skyfleet.contract import HEDGES, OVERRIDES, POLICY_KEYS, POLICY_NUMBERS, WHOLE_NUMBERS


def read_policy(validator: Validator, value: object) -> dict[str, object]:
    key, example = "skyfleet:router.policy", "{probeAfterS: 2}"
    policy = validator.mapping(key, value, example)
    validator.known_keys(key, policy, POLICY_KEYS, example)
    found: dict[str, object] = {}
    for name, allowed in POLICY_NUMBERS.items():
        if name in policy:
            whole, example = name in WHOLE_NUMBERS, "0.5" if allowed[1] == 1 else "2"
            found[name] = validator.number(
                f"{key}.{name}", policy[name], 1, allowed, example=example, integer=whole
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
