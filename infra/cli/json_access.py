"""Read values out of JSON that others wrote, without believing its shape."""

from __future__ import annotations

import json
from typing import cast

JsonObject = dict[str, object]


def parse(text: str) -> object:
    """JSON, or None when `text` is not."""
    try:
        return cast("object", json.loads(text))
    except ValueError:
        return None


def as_object(value: object) -> JsonObject:
    """An object's members, empty for everything else."""
    return cast("JsonObject", value) if isinstance(value, dict) else {}


def objects(value: object) -> list[JsonObject]:
    """The objects in a list, empty for everything else."""
    if not isinstance(value, list):
        return []
    return [cast("JsonObject", item) for item in cast("list[object]", value) if isinstance(item, dict)]


def first_object(value: object) -> JsonObject:
    """The first object of a list, empty when there is none."""
    found = objects(value)
    return found[0] if found else {}


def strings(value: object) -> list[str]:
    """The strings in a list."""
    return (
        [item for item in cast("list[object]", value) if isinstance(item, str)]
        if isinstance(value, list)
        else []
    )


def string(value: object, default: str = "") -> str:
    """A string, or `default`."""
    return value if isinstance(value, str) else default


def number(value: object) -> float | None:
    """A number (a bool is none), or None."""
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def place(told: JsonObject) -> str:
    """`cloud/region` as routers and targets say it; empty when it is not said."""
    cloud, region = string(told.get("cloud")), string(told.get("region"))
    return f"{cloud}/{region}" if cloud and region else ""


def printable(value: object) -> object:
    """A JSON value whose texts cannot move a terminal's cursor: control characters are replaced."""
    if isinstance(value, str):
        return value if value.isprintable() else "".join(c if c.isprintable() else "\ufffd" for c in value)
    if isinstance(value, dict):
        return {key: printable(item) for key, item in cast("JsonObject", value).items()}
    if isinstance(value, list):
        return [printable(item) for item in cast("list[object]", value)]
    return value
