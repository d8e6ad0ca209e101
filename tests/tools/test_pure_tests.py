"""Tests of the run of pure tests in shares."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.pure_tests import NONE_CHOSEN, shares, verdict

pytestmark = pytest.mark.pure


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_each_file_is_in_one_share(number: int) -> None:
    """Also when there are more shares than files."""
    files = [Path(f"tests/test_{letter}.py") for letter in "cab"]
    found = shares(files, number)
    assert sorted(name for share in found for name in share) == sorted(str(file) for file in files)
    assert len(found) == min(number, 3)


@pytest.mark.parametrize(
    ("codes", "expected"),
    [
        ([0, 0], 0),
        ([0, 1], 1),
        ([2, NONE_CHOSEN], 2),
        ([0, NONE_CHOSEN], 0),
        ([NONE_CHOSEN, NONE_CHOSEN], NONE_CHOSEN),
        ([0, -9], -9),
    ],
)
def test_a_failed_share_fails_the_run(codes: list[int], expected: int) -> None:
    """A share without a chosen test is no failure if another one has some."""
    assert verdict(codes) == expected
