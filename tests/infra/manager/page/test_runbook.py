"""The page's runbook has the rows of docs/how-to/dashboard.md."""

from __future__ import annotations

import pytest

from infra.manager.page import runbook, words
from infra.manager.page.routes import DOCS

pytestmark = pytest.mark.pure


def test_the_page_and_the_docs_have_the_same_rows() -> None:
    """An operator with one of them is told the same."""
    document = (DOCS / "dashboard.md").read_text()
    for row in (*runbook.TARGETS.values(), *runbook.PAGE):
        assert f"| {row.shown} | {row.meaning} | {row.todo} |" in document
    told = document.partition("## States of a target")[2].partition("## Act")[0]
    assert told.count("\n| ") - told.count("\n| ---") - 2 == len(runbook.TARGETS) + len(runbook.PAGE)


def test_every_state_is_in_the_runbook_as_the_page_shows_it() -> None:
    """With its mark."""
    assert {name: row.shown for name, row in runbook.TARGETS.items()} == {
        name: f"{look.mark} {name}" for name, look in words.LOOKS.items()
    }


def test_every_document_is_there() -> None:
    """A link of the page leads to a file."""
    assert all((DOCS / name).is_file() for name in runbook.DOCUMENTS)
