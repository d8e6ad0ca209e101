"""Typed access to parsed JSON of any shape: a value of another type counts as missing."""

from __future__ import annotations

import json
from typing import cast

JsonObject = dict[str, object]
# Python's parser takes NaN, Infinity and integers that no float holds; no figure here is as large.
LARGEST = 1e300


def parse(text: str) -> object:
    """The parsed JSON, None when `text` is not JSON or is nested too deeply."""
    try:
        return cast("object", json.loads(text))
    except (ValueError, RecursionError):
        return None


def as_object(value: object) -> JsonObject:
    """A JSON object; empty for any other value."""
    return cast("JsonObject", value) if isinstance(value, dict) else {}


def objects(value: object) -> list[JsonObject]:
    """The objects in a list; empty for any other value."""
    if not isinstance(value, list):
        return []
    return [cast("JsonObject", item) for item in cast("list[object]", value) if isinstance(item, dict)]


def first_object(value: object) -> JsonObject:
    """The first object in a list; empty when there is none."""
    found = objects(value)
    return found[0] if found else {}


def strings(value: object) -> list[str]:
    """The strings in a list; empty for any other value."""
    return (
        [item for item in cast("list[object]", value) if isinstance(item, str)]
        if isinstance(value, list)
        else []
    )


def string(value: object, default: str = "") -> str:
    """A string, `default` for any other value."""
    return value if isinstance(value, str) else default


def number(value: object) -> float | None:
    """A finite number, None for any other value, bool included."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    return float(value) if abs(value) < LARGEST else None


def place(value: JsonObject) -> str:
    """`cloud/region` of an object with both keys, else empty."""
    cloud, region = string(value.get("cloud")), string(value.get("region"))
    return f"{cloud}/{region}" if cloud and region else ""


def printable(value: object) -> object:
    """A JSON value with control characters replaced, so that its texts cannot move a terminal's cursor."""
    if isinstance(value, str):
        return value if value.isprintable() else "".join(c if c.isprintable() else "\ufffd" for c in value)
    if isinstance(value, dict):
        return {key: printable(item) for key, item in cast("JsonObject", value).items()}
    if isinstance(value, list):
        return [printable(item) for item in cast("list[object]", value)]
    return value
