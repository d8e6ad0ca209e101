"""The arguments of `skyfleet chaos`: clouds, faults and scopes, checked before the emulator gets them.

The rule of this file: pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import click

from infra.config.model import CLOUDS
from infra.operations import json_access
from infra.operations.json_access import JsonObject
from infra.operations.suggest import suggestion

SCOPES = ("agents", "routers", "checkers", "all")
HEAL = "heal"
# Faults by what follows the colon: nothing, a time, or a share of the requests.
PLAIN = ("kill", "refuse", "blackhole", "stale")
TIMED = ("slow", "gray", "cold")
SHARED = ("error", "throttle", "cut")
# The management API answers with a status, so changes of resources fail; functions run on.
API = "api"
API_STATUSES = (429, 500, 502, 503, 504)
API_S = 3600.0  # the longest time, unless it is healed before
# Manual changes outside of Pulumi: `pulumi refresh` finds them.
DELETE, SET = "delete", "set"
FAULTS = (*PLAIN, *TIMED, *SHARED, API, DELETE, SET, HEAL)
GRAMMAR = (
    "kill | refuse | blackhole | stale | slow:800ms | gray:800ms | cold:10s | error:30% | throttle:50% | "
    "cut:50% | api:503 | delete:RESOURCE | set:RESOURCE:PROPERTY=VALUE | heal"
)
# For `--help`: what a name alone does not say.
NOTES = (
    "gray slows all requests but GET /health, so that probes see nothing. Faults of different kinds add up "
    "until the cloud is healed; the same kind on the same scope is replaced. api:STATUS makes the cloud's "
    "management API answer 429, 500, 502, 503 or 504 to a deployment. delete and set change a resource "
    "outside of Pulumi, as a person does in the cloud's console."
)
_TIME = re.compile(r"\d+(\.\d+)?(ms|s)")
_SHARE = re.compile(r"\d+(\.\d+)?%")

# No platform front end waits longer, so a longer delay would equal a blackhole.
LONGEST_S = 600.0


def _seconds(amount: str) -> float:
    return float(amount[:-2]) / 1000 if amount.endswith("ms") else float(amount[:-1])


def active_faults(faults: Iterable[JsonObject]) -> str:
    """All faults that are injected now, in one sentence."""
    shown = [
        "{} {} ({})".format(*(json_access.string(one.get(key)) for key in ("cloud", "fault", "scope")))
        for one in faults
    ]
    return f"Active now: {', '.join(shown) or 'no fault'}."


def check_cloud(name: str) -> str:
    """The name of a cloud. Raises UsageError."""
    if name in CLOUDS:
        return name
    raise click.UsageError(f"unknown cloud {name!r}.{suggestion(name, CLOUDS)} Known: {', '.join(CLOUDS)}.")


def check_order(cloud: str, fault: str) -> None:
    """Raise UsageError with the right order when the cloud is in the second place."""
    if cloud not in CLOUDS and fault in CLOUDS:
        name = cloud.partition(":")[0]
        known = cloud if name in FAULTS else f"FAULT.{suggestion(name, FAULTS)}"
        raise click.UsageError(f"the cloud comes first, then the fault: skyfleet chaos {fault} {known}")


def check_fault(text: str) -> str:
    """A fault as the emulator takes it, or `heal`. Raises UsageError with the grammar."""
    name, colon, amount = text.partition(":")
    if name in (*PLAIN, HEAL):
        if colon:
            raise click.UsageError(f"{name} takes no amount, found {amount!r}. Faults: {GRAMMAR}")
        return name
    if name in TIMED:
        if _TIME.fullmatch(amount) and _seconds(amount) <= LONGEST_S:
            return text
        raise click.UsageError(
            f"{name} needs a time up to {LONGEST_S:.0f} s, such as {name}:800ms or {name}:2s, found {text!r}."
        )
    if name in SHARED:
        if _SHARE.fullmatch(amount) and 0 < float(amount[:-1]) <= 100:
            return text
        raise click.UsageError(
            f"{name} needs a share of the requests, above 0% and up to 100%, such as {name}:30%, "
            f"found {text!r}."
        )
    if name == API:
        if amount in map(str, API_STATUSES):
            return text
        known = ", ".join(map(str, API_STATUSES))
        raise click.UsageError(f"api needs a status, one of {known}, such as api:503, found {text!r}.")
    if name in (DELETE, SET):
        return _check_manual_change(name, amount)
    raise click.UsageError(f"unknown fault {text!r}.{suggestion(name, FAULTS)} Faults: {GRAMMAR}")


def _change(amount: str) -> tuple[str, str, str]:
    """The parts of `RESOURCE:PROPERTY=VALUE`; the key of a resource may contain colons."""
    left, _, value = amount.partition("=")
    resource, _, path = left.rpartition(":")
    return resource, path, value


def _check_manual_change(name: str, amount: str) -> str:
    complete = bool(amount) if name == DELETE else "=" in amount and all(_change(amount)[:2])
    if complete:
        return f"{name}:{amount}"
    example = "delete:RESOURCE" if name == DELETE else "set:RESOURCE:memorySize=1024"
    raise click.UsageError(
        f"{name} needs the name, id or key of a resource, as in {example}; found {amount!r}. "
        "`pulumi stack` lists the names."
    )


def manual_change(cloud: str, fault: str) -> dict[str, object] | None:
    """The body of `POST /v1/drift` for a manual change, None for another fault."""
    name, _, amount = fault.partition(":")
    if name == DELETE:
        return {"cloud": cloud, "id": amount, "delete": True}
    if name == SET:
        resource, path, given = _change(amount)
        parsed = json_access.parse(given)
        return {"cloud": cloud, "id": resource, "set": {path: given if parsed is None else parsed}}
    return None
