"""The sentences of text.toml, and tables made with them."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Final, cast

FILE: Final = Path(__file__).parent / "text.toml"


class IncompleteText(Exception):
    """A key of the code has no sentence in text.toml, or a sentence has no key."""

    def __init__(self, section: str, missing: Sequence[str], extra: Sequence[str]) -> None:
        lines = [
            *(f"  {key}: has no description" for key in missing),
            *(f"  {key}: is in no source file any more" for key in extra),
        ]
        super().__init__("\n".join([f"tools/reference/text.toml, section {section!r}:", *lines]))


@cache
def _sections() -> Mapping[str, Mapping[str, str]]:
    return cast("Mapping[str, Mapping[str, str]]", tomllib.loads(FILE.read_text("utf-8")))


def section(name: str) -> Mapping[str, str]:
    """The sentences of a section by key, in the order of the file."""
    return _sections()[name]


def described(name: str, found: Iterable[str]) -> dict[str, str]:
    """The sentence of each key that was found, in the order of the file.

    Raises IncompleteText when keys and sentences are not the same.
    """
    keys, sentences = set(found), section(name)
    missing, extra = sorted(keys - set(sentences)), sorted(set(sentences) - keys)
    if missing or extra:
        raise IncompleteText(name, missing, extra)
    return dict(sentences)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def code(text: str) -> str:
    """Text in backticks; nothing stays nothing."""
    return f"`{text}`" if text else ""
