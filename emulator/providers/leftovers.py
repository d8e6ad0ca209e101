"""What the emulated clouds keep after a deletion: reserved names, and things that still cost.

Each is a resource of the store with a type that no program can name. Times are unix seconds of the emulator;
an expired leftover counts as absent.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from emulator.errors import CloudError, NotYetReady
from emulator.providers.storage.resource_store import Resource
from emulator.providers.values import Json, Properties, number, text

TOKEN: Final = "emulator:index/leftovers:Remains"  # noqa: S105 - a type's name
HELD: Final = "held"
LEFT: Final = "left"


def resource(
    kind: str,
    key: str,
    what: str,
    *,
    costs: str = "",
    until: float | None = None,
    code: str = "",
    retried_s: float = 0.0,
) -> Resource:
    """A leftover. kind: HELD (the name `key` is reserved; what: the refusal, code: its code) or LEFT."""
    outputs: Properties = {
        "key": key,
        "what": what,
        "costs": costs,
        "until": until,
        "code": code,
        "retriedS": retried_s,
    }
    return Resource(_key(kind, key), TOKEN, key, "", {}, outputs)


def held(resources: Mapping[str, Resource], key: str, now: float) -> CloudError | None:
    """The refusal of a new resource whose name is still reserved, or None."""
    found = resources.get(_key(HELD, key))
    if found is None or not _stands(found, now):
        return None
    code, what = text(found.outputs, "code"), text(found.outputs, "what")
    return NotYetReady(code, what, number(found.outputs, "retriedS"))


def held_key(key: str) -> str:
    """Key of the leftover that reserves the name of the resource `key`."""
    return _key(HELD, key)


def left_key(key: str) -> str:
    """Key of the leftover that a cloud kept under `key`."""
    return _key(LEFT, key)


def listed(resources: Mapping[str, Resource], now: float) -> Iterator[dict[str, Json]]:
    """The leftovers: cloud, what it is, its costs (empty: none), until when (None: no end)."""
    for each in resources.values():
        if each.token == TOKEN and _stands(each, now):
            kind = each.key.split("/")[1]
            yield {
                "cloud": each.id.partition("/")[0],
                "key": each.id,
                "kind": kind,
                "what": f"the name is held: {each.outputs['what']}" if kind == HELD else each.outputs["what"],
                "costs": each.outputs["costs"],
                "until": each.outputs["until"],
            }


def _stands(found: Resource, now: float) -> bool:
    until = found.outputs["until"]
    return until is None or now < until


def _key(kind: str, key: str) -> str:
    return f"emulator/{kind}/{key}"
