"""Tests of the target list's mistakes."""

from __future__ import annotations

import pytest

from router.core.targets import parse_targets

pytestmark = pytest.mark.pure


@pytest.mark.parametrize("entry", [None, 1, "aws", ["aws"]])
def test_an_entry_that_is_no_object_is_named_with_an_example(entry: object) -> None:
    """The message has the type of what was found."""
    found, mistakes = parse_targets([entry])
    assert not found
    assert f"got {type(entry).__name__}, expected an object, e.g. " in mistakes[0]
