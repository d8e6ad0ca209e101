"""The page about faults says what happens."""

from __future__ import annotations

import pytest

from tests.whose_fault.cases import CASES
from tests.whose_fault.page import HEAD, PAGE, row


@pytest.mark.parametrize("number", range(len(CASES)), ids=[case.play.__name__ for case in CASES])
async def test_the_page_says_what_happens(number: int) -> None:
    """Each row has what the client got, what it cost and which cloud was blamed when the fault was played.

    After a wanted change: `python -m tests.whose_fault`."""
    text = PAGE.read_text("utf-8")
    assert text.startswith(HEAD)
    rows = text.removeprefix(HEAD).splitlines()
    assert len(rows) == len(CASES)
    assert rows[number] == row(CASES[number], await CASES[number].play())
