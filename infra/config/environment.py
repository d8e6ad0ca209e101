"""JSON values in the environment of deployed functions, as skyfleet/contract.py has them.

Pure. Writers of one value each: the same settings give the same text, so a deployment without a change
changes no function.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from infra.config.model import Target
from skyfleet import contract
from skyfleet.contract import Checks


def compact(value: object) -> str:
    """JSON without spaces, in the order of the keys."""
    return json.dumps(value, separators=(",", ":"))


def targets_value(targets: Sequence[Target], urls: Sequence[str], *, repeatable: bool) -> str:
    """SKYFLEET_TARGETS of a router or a checker.

    urls: one for each target. repeatable: the agent is declared `@repeatable`. A target without a price has
    no such key: the router then takes the cloud's list price.
    """
    return compact([_entry(target, url, repeatable) for target, url in zip(targets, urls, strict=True)])


def check_value(checks: Checks) -> str:
    """SKYFLEET_CHECK of a checker."""
    return compact({key: getattr(checks, contract.snake_case(key)) for key in contract.CHECK_NUMBERS})


def _entry(target: Target, url: str, repeatable: bool) -> dict[str, object]:
    place = target.place
    values = (place.cloud, place.region, url, target.weight, repeatable, target.price)
    return {key: value for key, value in zip(contract.TARGET_KEYS, values, strict=True) if value is not None}
