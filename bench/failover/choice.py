"""The rows and routers that a command names.

Pure. An unknown name is an error, not a smaller run.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import TypeVar

T = TypeVar("T")


def names(text: str) -> list[str]:
    """Comma-separated names, with or without blanks."""
    return [name for one in text.split(",") if (name := one.strip())]


def chosen(kind: str, asked: Iterable[str], known: Mapping[str, T]) -> tuple[T, ...]:
    """The named ones, once and in the order of the scoreboard; all without a name. KeyError lists the
    known."""
    wanted = dict.fromkeys(asked)
    if unknown := [name for name in wanted if name not in known]:
        near = [match for name in unknown for match in get_close_matches(name, known, 1)]
        hint = f" (did you mean {', '.join(near)}?)" if near else ""
        raise KeyError(f"no {kind} {', '.join(unknown)}{hint}; there are {', '.join(known)}")
    return tuple(one for name, one in known.items() if not wanted or name in wanted)
