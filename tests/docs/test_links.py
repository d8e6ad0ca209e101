"""Every relative link of the documentation leads somewhere, and every file that it names is there."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from tests.docs import markdown

pytestmark = pytest.mark.pure

ROOT: Final = Path(__file__).parents[2]
PAGES: Final = sorted(
    path
    for pattern in (
        "*.md",
        "docs/**/*.md",
        ".github/**/*.md",
        "functions/**/*.md",
        "infra/**/*.md",
        "emulator/*.md",
    )
    for path in ROOT.glob(pattern)
)
NAMES: Final = [str(path.relative_to(ROOT)) for path in PAGES]
# Pages of the past name what there was then.
HISTORY: Final = ("CHANGELOG.md",)


@pytest.mark.parametrize("name", NAMES)
def test_every_relative_link_and_anchor_leads_somewhere(name: str) -> None:
    """To a file of the repository, and to a heading of it."""
    assert list(markdown.broken(markdown.read(ROOT / name), ROOT)) == []


@pytest.mark.parametrize("name", [name for name in NAMES if name not in HISTORY])
def test_every_file_that_a_page_names_is_there(name: str) -> None:
    """A renamed module is renamed in the documentation too."""
    assert list(markdown.missing(markdown.read(ROOT / name), ROOT)) == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("[a](absent.md)", ["absent.md: no such file"]),
        ("![a](absent.svg)", ["absent.svg: no such file"]),
        ("[a][b]\n\n[b]: absent.md", ["absent.md: no such file"]),
        ("| a |\n| --- |\n| [a](absent.md) |", ["absent.md: no such file"]),
        ("[a](#absent)", ["#absent: no such heading"]),
        ("[a](README.md#absent)", ["README.md#absent: no such heading"]),
        ("[a](../README.md)", ["../README.md: no such file"]),
        ("[a](README.md)", []),
        ("[a](https://example.com/absent.md)", []),
        ("`[a](absent.md)`\n\n```\n[a](absent.md)\n```", []),
    ],
)
def test_a_broken_link_is_found_wherever_it_stands(text: str, found: list[str]) -> None:
    """In text, tables, images and references; not in code."""
    assert list(markdown.broken(markdown.parse(ROOT / "made-up.md", text), ROOT)) == found


@pytest.mark.parametrize(
    ("heading", "anchor"),
    [
        ("# What a reviewer will ask", "what-a-reviewer-will-ask"),
        ("## Gray failures: `degraded`", "gray-failures-degraded"),
        ("### *Where's* next? 1.5 -- x_y", "wheres-next-15----x_y"),
        ("Under\n=====", "under"),
        ('<a id="by-hand"></a>', "by-hand"),
        ("# Twice\n\n# Twice", "twice-1"),
    ],
)
def test_anchors_are_those_of_github(heading: str, anchor: str) -> None:
    """So that a link works where people read the pages."""
    assert anchor in markdown.parse(ROOT / "made-up.md", heading).anchors


def test_a_file_that_is_gone_is_found() -> None:
    """Also by a pattern; commands and forms of names are left alone."""
    text = "`router/gone.py` `router/app.py` `router/*.none` `locks/*.txt` `make docs/gone.md` `router/{a,b}`"
    page = markdown.parse(ROOT / "made-up.md", text)
    assert list(markdown.missing(page, ROOT)) == ["router/gone.py", "router/*.none"]
