"""docs/troubleshooting.md quotes what the program says, and nothing that it does not say."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

import pytest

from tests.docs import markdown

pytestmark = pytest.mark.pure

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = ROOT / "docs/troubleshooting.md"
# A value in a message, here and in the page.
HOLE: Final = "…"


def texts(tree: ast.AST) -> Iterator[str]:
    """Every string of a module, as it reads with a hole for each value."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
        elif isinstance(node, ast.JoinedStr):
            parts = (part.value if isinstance(part, ast.Constant) else HOLE for part in node.values)
            yield "".join(map(str, parts))


@cache
def said() -> str:
    """All that the program can say, one line for each string."""
    modules = [path for package in markdown.SOURCES for path in (ROOT / package).rglob("*.py")]
    strings = [text for path in modules for text in texts(ast.parse(path.read_text("utf-8")))]
    scripts = [path.read_text("utf-8") for path in (ROOT / "infra").rglob("*.sh")]
    return "\n".join([*(text.replace("\n", " ") for text in strings), *scripts])


def occurs(quote: str) -> bool:
    """Whether one string says the parts of a quote in their order, whatever is in its holes."""
    return re.search(".*?".join(map(re.escape, quote.split(HOLE))), said()) is not None


def quotes() -> list[str]:
    """What stands in backticks in the first column of the page's tables."""
    found: list[str] = []
    first = False
    for block in markdown.PARSER.parse(PAGE.read_text("utf-8")):
        if block.type in ("tr_open", "td_close"):
            first = block.type == "tr_open"
        if first and block.type == "inline":
            found += [child.content for child in block.children or () if child.type == "code_inline"]
    return found


@pytest.mark.parametrize("quote", quotes())
def test_each_quoted_message_is_one_that_the_program_says(quote: str) -> None:
    """A message that changes is changed in the page too."""
    assert occurs(quote)


def test_a_message_that_nothing_says_is_found() -> None:
    """Also when only parts of it are said, or each in a message of its own."""
    assert occurs("only … MB are free where")
    assert not occurs("only … MB are free on the moon")
    assert not occurs("No target serves … another daemon")
    assert len(quotes()) > 40
