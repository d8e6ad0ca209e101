"""Tests of the declaration `repeatable`."""

from __future__ import annotations

import pytest

from functions.api import is_repeatable, repeatable


def test_only_objects_with_attributes_can_be_declared_repeatable() -> None:
    """The error describes an alternative."""
    with pytest.raises(TypeError, match="Wrap it"):
        repeatable(object())
    assert not is_repeatable(object())
