"""Physical names, generated as each provider generates them.

A name stays for the life of a resource (it is read back from the old inputs), and the same seed gives the
same
name. AWS and GCP append a dash and 7 hex digits. azure-native appends 8 hex digits without a dash and cuts or
changes nothing, so the cloud refuses a name that is too long
(provider/pkg/provider/provider.go, getDefaultName: `NewUniqueName(randomSeed, name, 8, 0, nil)`); it names
role assignments by a UUID.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from emulator.providers.values import DEFAULTS, Json, Properties, items

Style = Literal["dash", "lower-dash", "plain", "uuid", "exact", "fixed"]


@dataclass(frozen=True, slots=True)
class Naming:
    """prop: input with the physical name, of at most `limit` characters; fixed: the only possible name."""

    prop: str
    style: Style
    limit: int = 64
    fixed: str = ""


def physical_name(naming: Naming, logical: str, seed: bytes) -> str:
    """The name of a new resource called `logical` in the program."""
    digest = hashlib.sha256(seed + naming.prop.encode()).hexdigest()
    if naming.style == "exact":
        return logical
    if naming.style == "fixed":
        return naming.fixed
    if naming.style == "uuid":
        return str(uuid.UUID(digest[:32]))
    if naming.style == "plain":
        return logical + digest[:8]
    base = logical.lower() if naming.style == "lower-dash" else logical
    return f"{base[: naming.limit - 8]}-{digest[:7]}"


def named(
    naming: Naming | None, inputs: Properties, olds: Mapping[str, Json], seed: tuple[str, bytes]
) -> Properties:
    """Inputs with the physical name, generated if the program gave none. seed: logical name, randomness."""
    if naming is None or inputs.get(naming.prop) is not None:
        return inputs
    logical, random = seed
    prefix = inputs.get(f"{naming.prop}Prefix")
    if is_autonamed(naming, olds):
        name = str(olds[naming.prop])
    elif isinstance(prefix, str):
        name = prefix + hashlib.sha256(random).hexdigest()[:26]
    else:
        name = physical_name(naming, logical, random)
    return with_default(inputs, naming.prop, name)


def with_default(inputs: Properties, prop: str, value: Json) -> Properties:
    """Inputs with `prop` filled in by the provider and marked as such."""
    return {**inputs, prop: value, DEFAULTS: sorted({*items(inputs, DEFAULTS), prop})}


def is_autonamed(naming: Naming | None, inputs: Mapping[str, Json]) -> bool:
    return naming is not None and naming.prop in inputs and naming.prop in items(inputs, DEFAULTS)
