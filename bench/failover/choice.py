"""The scenarios and routers that a command names.

Rule: pure. An unknown name is an error, so that no bench runs with less than was meant.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import TypeVar

T = TypeVar("T")


def names(text: str) -> list[str]:
    """Split comma-separated names; blanks around them are ignored."""
    return [name for one in text.split(",") if (name := one.strip())]


def chosen(kind: str, asked: Iterable[str], known: Mapping[str, T]) -> tuple[T, ...]:
    """Select the values with the names `asked`, in the order of `known`; all values if `asked` is empty.

    kind: what the names are of, for the message. Raises KeyError with all known names for an unknown one.
    """
    wanted = dict.fromkeys(asked)
    if unknown := [name for name in wanted if name not in known]:
        near = [match for name in unknown for match in get_close_matches(name, known, 1)]
        hint = f" (did you mean {', '.join(near)}?)" if near else ""
        raise KeyError(f"no {kind} {', '.join(unknown)}{hint}; there are {', '.join(known)}")
    return tuple(one for name, one in known.items() if not wanted or name in wanted)
