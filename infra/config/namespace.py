"""The keys of a stack config that are this project's, with and without their namespace.

Pulumi reads `agent:` in the file of a stack as `skyfleet:agent:` (stackConfigNamespacedWithProject in
sdk/go/common/workspace of pulumi/pulumi). It does so in a loop over a Go map, whose order is random (Go
specification, "For statements with range clause"): where both are given, either may win. So both together are
a mistake, for each key.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import cast

from infra.config.validation import Validator

NAMESPACE = "skyfleet:"


def own_values(
    validator: Validator, config: Mapping[str, object], examples: Mapping[str, str]
) -> dict[str, object]:
    """The values of this project by name; an error for each name that is given with and without namespace.

    examples: of names, for the errors. No value is shown: it may be a secret.
    """
    values = {
        key.removeprefix(NAMESPACE): value for key, value in config.items() if key.startswith(NAMESPACE)
    }
    for key, value in config.items():
        if ":" in key:
            continue
        if key in values:
            found = f"also {key} without {NAMESPACE}, which Pulumi takes for the same key"
            example = f"{NAMESPACE}{key}: {examples.get(key, '...')}"
            validator.error(f"{NAMESPACE}{key}", found, "one of the two, with one value", example)
        else:
            values[key] = value
    return values


def given_twice(path: Path) -> dict[str, object]:
    """The keys without namespace in the file of a stack that stand beside the same key with it.

    Empty where Pulumi reads another file, and where it reports the file itself.
    """
    import yaml

    try:
        parsed: object = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return {}
    config = _mapping(_mapping(parsed).get("config"))
    return {
        key: value
        for key, value in config.items()
        if isinstance(key, str) and ":" not in key and f"{NAMESPACE}{key}" in config
    }


def _mapping(value: object) -> Mapping[object, object]:
    empty: Mapping[object, object] = {}
    return cast("Mapping[object, object]", value) if isinstance(value, Mapping) else empty
