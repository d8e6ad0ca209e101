"""What a Markdown page links to, which anchors it has, and which files of the repository it names.

Anchors are those that GitHub gives to headings: lower case, spaces become hyphens, punctuation goes, and a
repeated heading gets a number (docs.github.com, "Basic writing and formatting syntax", section links).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

from markdown_it import MarkdownIt
from markdown_it.token import Token

PARSER = MarkdownIt("commonmark").enable("table")
# Where the program is, now or when the folder is made.
SOURCES = ("functions", "router", "infra", "emulator", "skyfleet")
# Text in backticks that begins with one of these and a slash names a file or folder of the repository.
FOLDERS = (*SOURCES, "tests", "bench", "docs", "locks", "typings")
# `router/{core,net}` is a form and `make docs/x.md` a command: neither is one name.
NAME = re.compile(rf"(?:{'|'.join(FOLDERS)})/[\w./*-]*\w[\w./*-]*")


@dataclass(frozen=True, slots=True)
class Page:
    """One page, read."""

    path: Path
    links: tuple[str, ...]
    anchors: frozenset[str]
    names: tuple[str, ...]


@cache
def read(path: Path) -> Page:
    """The page in a file: each is read once a run, though many pages link to it."""
    return parse(path, path.read_text("utf-8"))


def parse(path: Path, text: str) -> Page:
    """The page that a text makes."""
    blocks = PARSER.parse(text)
    tokens = [token for block in blocks for token in (block, *(block.children or ()))]
    links = [str(token.attrs[key]) for token in tokens for key in ("href", "src") if key in token.attrs]
    ids = [name for token in tokens if token.type.startswith("html_") for name in html_ids(token.content)]
    names = [token.content for token in tokens if token.type == "code_inline"]
    return Page(
        path,
        tuple(links),
        frozenset([*heading_anchors(blocks), *ids]),
        tuple(name for name in names if NAME.fullmatch(name)),
    )


def heading_anchors(blocks: Iterable[Token]) -> Iterator[str]:
    """The anchor of each heading, in order."""
    met: dict[str, int] = {}
    heading = False
    for block in blocks:
        if heading:
            name = slug("".join(child.content for child in block.children or ()))
            count = met[name] = met.get(name, -1) + 1
            yield f"{name}-{count}" if count else name
        heading = block.type == "heading_open"


def slug(heading: str) -> str:
    """The anchor of a heading that is the first of its name."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def html_ids(markup: str) -> list[str]:
    """Values of `id` and `name` in a piece of HTML."""
    found: list[str] = []

    class Finder(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            found.extend(value for key, value in attrs if key in ("id", "name") and value)

    Finder().feed(markup)
    return found


def broken(page: Page, root: Path) -> Iterator[str]:
    """Each relative link of a page that leads nowhere, and why."""
    for link in page.links:
        parts = urlsplit(link)
        if parts.scheme or parts.netloc:
            continue
        there = page
        if parts.path:
            target = (page.path.parent / unquote(parts.path)).resolve()
            if not target.is_relative_to(root) or not target.exists():
                yield f"{link}: no such file"
                continue
            if target.suffix != ".md":
                continue
            there = read(target)
        if parts.fragment and unquote(parts.fragment) not in there.anchors:
            yield f"{link}: no such heading"


def missing(page: Page, root: Path) -> Iterator[str]:
    """Each file or folder that a page names in backticks and that is not there."""
    for name in page.names:
        if not (any(root.glob(name)) if "*" in name else (root / name).exists()):
            yield name
