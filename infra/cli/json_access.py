"""Read values out of JSON that others wrote, without believing its shape."""

from __future__ import annotations

import json
from typing import cast

Facts = dict[str, object]


def parse(text: str) -> object:
    """JSON, or None when `text` is not."""
    try:
        return cast("object", json.loads(text))
    except ValueError:
        return None


def facts(value: object) -> Facts:
    """An object's members, empty for everything else."""
    return cast("Facts", value) if isinstance(value, dict) else {}


def many(value: object) -> list[Facts]:
    """The objects in a list, empty for everything else."""
    if not isinstance(value, list):
        return []
    return [cast("Facts", item) for item in cast("list[object]", value) if isinstance(item, dict)]


def first(value: object) -> Facts:
    """The first object of a list, empty when there is none."""
    found = many(value)
    return found[0] if found else {}


def texts(value: object) -> list[str]:
    """The strings in a list."""
    return (
        [item for item in cast("list[object]", value) if isinstance(item, str)]
        if isinstance(value, list)
        else []
    )


def text(value: object, default: str = "") -> str:
    """A string, or `default`."""
    return value if isinstance(value, str) else default


def number(value: object) -> float | None:
    """A number (a bool is none), or None."""
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def place(told: Facts) -> str:
    """`cloud/region` as routers and targets say it; empty when it is not said."""
    cloud, region = text(told.get("cloud")), text(told.get("region"))
    return f"{cloud}/{region}" if cloud and region else ""


def printable(value: object) -> object:
    """A JSON value whose texts cannot move a terminal's cursor: control characters are replaced."""
    if isinstance(value, str):
        return value if value.isprintable() else "".join(c if c.isprintable() else "\ufffd" for c in value)
    if isinstance(value, dict):
        return {key: printable(item) for key, item in cast("Facts", value).items()}
    if isinstance(value, list):
        return [printable(item) for item in cast("list[object]", value)]
    return value
