"""pulumiverse_time: resources that wait during their creation; they exist in the stack's state only.

Source: registry.terraform.io/providers/hashicorp/time, resource time_sleep, which the provider bridges: the
creation takes `create_duration`; a change of `triggers` replaces the resource and so waits again; a change
of the durations alone does not wait. The wait is scaled as all delays of the emulated clouds are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from emulator.providers.registry import Invoke
from emulator.providers.resource_types import Context, ResourceType
from emulator.providers.schema import Failure
from emulator.providers.values import Json, Properties, is_unknown, text

SLEEP = "time:index/sleep:Sleep"
_UNITS: Mapping[str, float] = {"ms": 0.001, "s": 1, "m": 60, "h": 3600}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)")


def seconds(duration: str) -> float | None:
    """Go's `1m30s` in seconds; None when it is not a duration."""
    if not re.fullmatch(rf"(?:{_PART.pattern})+", duration):
        return None
    return sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(duration))


def _rules(inputs: Properties) -> Iterator[Failure]:
    for name in ("createDuration", "destroyDuration"):
        value: Json = inputs.get(name)
        if value is not None and not is_unknown(value) and seconds(str(value)) is None:
            yield Failure(name, f"must be a duration such as 90s or 2m, got {value!r}")


def _key(inputs: Properties, context: Context) -> str:
    raise AssertionError("waits are not kept in the table")


def _sleep(inputs: Properties, context: Context) -> Properties:
    context.machine.sleep(context.machine.scaled(seconds(text(inputs, "createDuration") or "0s") or 0))
    return {"id": context.timestamp()}


RESOURCE_TYPES = (
    ResourceType(SLEEP, _key, _sleep, force_new=frozenset(("triggers",)), rules=_rules, stateless=True),
)
INVOKES: Mapping[str, Invoke] = {}
DEFAULTS: Mapping[str, Json] = {}
