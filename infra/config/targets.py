"""Read `skyfleet:clouds`: the targets of a stack with the weight of each.

Pure. An item of `regions` is a name, or a mapping of one name to the settings of that region. The list keeps
the order: the first region of a cloud has its router, and Pulumi passes the keys of a mapping sorted (Go's
encoding/json). Regions without a weight of their own share the cloud's weight evenly. Other settings of a
cloud are the defaults of its regions.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import cast

from infra.config.cloud_options import GCP_KEYS
from infra.config.instances import INSTANCE_KEYS, parse_instances
from infra.config.model import CLOUDS, Cloud, Place, Target
from infra.config.regions import REGIONS, UNFIT
from infra.config.validation import Validator, one_of, suggestion
from skyfleet.contract import PRICES, WEIGHTS, is_within

EXAMPLE = "{aws: {regions: [eu-west-1], weight: 3}}"
KEY = "skyfleet:clouds"
# Settings of one region.
REGION_KEYS = ("weight", *INSTANCE_KEYS)


def parse_targets(
    validator: Validator, value: object, *, misspelt: bool
) -> tuple[tuple[Target, ...], set[str]]:
    """The targets, and the clouds that the config names or, misspelt, probably means.

    misspelt: the config has a key that probably means this one, and its own error.
    """
    before = len(validator.errors)
    clouds = validator.mapping(KEY, value, EXAMPLE)
    if not clouds and not misspelt and len(validator.errors) == before:
        validator.error(KEY, value, "at least one cloud with its regions", EXAMPLE)
    targets: list[Target] = []
    meant: set[str] = set()
    for name, given in clouds.items():
        meant.add(name if name in CLOUDS else suggestion(name, CLOUDS) or name)
        if name not in CLOUDS:
            validator.error(f"{KEY}.{name}", "an unknown cloud", one_of(CLOUDS, name), EXAMPLE)
        targets += _cloud_targets(validator, f"{KEY}.{name}", cast("Cloud", name), given)
    if targets and len(validator.errors) == before and not any(target.weight for target in targets):
        validator.error(KEY, "weight 0 for every cloud", "at least one weight above 0", EXAMPLE)
    return tuple(targets), meant


def _cloud_targets(validator: Validator, key: str, cloud: Cloud, given: object) -> list[Target]:
    """One target per region."""
    known = REGIONS.get(cloud, ())
    first = known[0] if known else "eu-west-1"
    example = f"{{regions: [{first}], weight: 1}}"
    entry = validator.mapping(key, given, example)
    allowed = ("regions", "weight", "price", *INSTANCE_KEYS)
    validator.known_keys(key, entry, (*allowed, *GCP_KEYS) if cloud == "gcp" else allowed, example)
    weight = validator.number(f"{key}.weight", entry.get("weight"), 1, (0, math.inf), example="3")
    price = None
    if entry.get("price") is not None:
        price = validator.number(f"{key}.price", entry["price"], 0, PRICES, example="0.2")
    regions = _regions(validator, f"{key}.regions", entry.get("regions"), first)
    for region in regions:
        _check_region(validator, f"{key}.regions", cloud, region, first)
    weights = {
        region: _own_weight(validator, f"{key}.regions.{region}", own) for region, own in regions.items()
    }
    sharing = sum(own is None for own in weights.values())
    if entry.get("weight") is not None and regions and not sharing:
        validator.error(
            f"{key}.weight", entry["weight"], "no weight of the cloud where each region has its own", example
        )
    share = _plain(_share(validator, f"{key}.weight", weight, sharing))
    common = parse_instances(validator, key, cloud, entry)
    sizes = {
        region: parse_instances(validator, f"{key}.regions.{region}", cloud, own, common)
        for region, own in regions.items()
    }
    return [
        Target(Place(cloud, region), share if own is None else own, price, sizes[region])
        for region, own in weights.items()
    ]


def _regions(validator: Validator, key: str, value: object, first: str) -> dict[str, Mapping[str, object]]:
    """The regions in their order, each with its own settings."""
    example = f"[{first}]"
    items = cast("list[object]", value) if isinstance(value, list) else []
    own: dict[str, Mapping[str, object]] = {}
    names: list[object] = []
    for item in items:
        if not isinstance(item, Mapping):
            names.append(item)
            continue
        pair = cast("Mapping[object, object]", item)
        if len(pair) != 1:
            validator.error(key, pair, "one name for each item", f"[{first}: {{weight: 3}}]")
        for name, settings in pair.items():
            names.append(name)
            own[str(name)] = validator.mapping(f"{key}.{name}", settings, "{weight: 3}")
    listed: object = cast("object", names or None) or cast("object", value)
    return {name: own.get(name, {}) for name in validator.strings(key, listed, example)}


def _check_region(validator: Validator, key: str, cloud: Cloud, region: str, first: str) -> None:
    known = REGIONS.get(cloud, ())
    if reason := UNFIT.get(cloud, {}).get(region):
        validator.error(key, region, f"another region: {reason}", f"[{first}]")
    elif known and region not in known:
        meant = suggestion(region, known) or first
        validator.error(key, region, one_of(known, region), f"[{meant}]")


def _own_weight(validator: Validator, key: str, own: Mapping[str, object]) -> float | None:
    """The weight of a region's own; None: it shares the cloud's."""
    validator.known_keys(key, own, REGION_KEYS, "{weight: 3}")
    if own.get("weight") is None:
        return None
    weight = validator.number(f"{key}.weight", own["weight"], 1, (0, math.inf), example="3")
    return _plain(_share(validator, f"{key}.weight", weight, 1))


def _share(validator: Validator, key: str, weight: float, regions: int) -> float:
    """Weight of each region."""
    if not regions or not weight:
        return 0
    share = weight / regions
    if not is_within(share, WEIGHTS):
        least, most = WEIGHTS
        validator.error(key, weight, f"0, or from {least:f} to {most} for each region", "3")
        return 1
    return share


def _plain(weight: float) -> float:
    return int(weight) if weight == int(weight) else weight
