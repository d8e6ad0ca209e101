"""Differences between two sets of inputs, by path, for the engine's detailed diff. Pure.

Assets are equal when their hashes are: a package that is built again elsewhere is the same package.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, cast

from emulator.providers.values import (
    ARCHIVE,
    ASSET,
    Json,
    Properties,
    is_marked,
    program_inputs,
    text,
)

Verb = Literal["add", "delete", "update"]


@dataclass(frozen=True, slots=True)
class Change:
    """One changed property. path, verb: what happened; replaces: whether the resource must be replaced."""

    path: str
    verb: Verb
    replaces: bool


def changes(old: Mapping[str, Json], new: Mapping[str, Json], force_new: frozenset[str]) -> list[Change]:
    """All changes, in the order of the new inputs. `force_new` holds paths such as `location`."""
    found = _object_changes("", program_inputs(old), program_inputs(new))
    return [Change(path, verb, _forced(path, force_new)) for path, verb in found]


def _forced(path: str, force_new: frozenset[str]) -> bool:
    return any(path == forced or path.startswith((f"{forced}.", f"{forced}[")) for forced in force_new)


def _object_changes(base: str, old: Properties, new: Properties) -> Iterator[tuple[str, Verb]]:
    for name in [*new, *(name for name in old if name not in new)]:
        path = _join(base, name)
        before, after = old.get(name), new.get(name)
        if before is None and after is not None:
            yield path, "add"
        elif after is None and before is not None:
            yield path, "delete"
        else:
            yield from _value_changes(path, before, after)


def _value_changes(path: str, old: Json, new: Json) -> Iterator[tuple[str, Verb]]:
    if is_marked(new, ASSET, ARCHIVE) and is_marked(old, ASSET, ARCHIVE):
        if text(old, "hash") != text(new, "hash") or not text(new, "hash"):
            yield path, "update"
    elif isinstance(old, dict) and isinstance(new, dict):
        yield from _object_changes(path, cast("Properties", old), cast("Properties", new))
    elif isinstance(old, list) and isinstance(new, list):
        before, after = cast("list[Json]", old), cast("list[Json]", new)
        for index in range(max(len(before), len(after))):
            where = f"{path}[{index}]"
            if index >= len(before):
                yield where, "add"
            elif index >= len(after):
                yield where, "delete"
            else:
                yield from _value_changes(where, before[index], after[index])
    elif old != new and not _same_document(old, new):
        yield path, "update"


def _same_document(old: Json, new: Json) -> bool:
    """Whether two texts are the same JSON policy: spacing and order of keys are no change."""
    if not (isinstance(old, str) and isinstance(new, str) and old[:1] == new[:1] and old[:1] in "{["):
        return False
    try:
        return json.loads(old) == json.loads(new)
    except ValueError:
        return False


def _join(base: str, name: str) -> str:
    if re.fullmatch(r"[A-Za-z_$][\w$]*", name):
        return f"{base}.{name}" if base else name
    return f"{base}[{json.dumps(name)}]"
