"""Tests of the declarations `repeatable` and `stateless`."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from functions.api import is_repeatable, is_stateless, repeatable, stateless

DECLARATIONS = [(repeatable, is_repeatable), (stateless, is_stateless)]


@pytest.mark.parametrize(("declare", "is_declared"), DECLARATIONS)
def test_only_objects_with_attributes_can_be_declared(
    declare: Callable[[object], object], is_declared: Callable[[object], bool]
) -> None:
    """The error describes an alternative."""
    with pytest.raises(TypeError, match=rf"{declare.__name__}\(\) cannot mark a object.*Wrap it"):
        declare(object())
    assert not is_declared(object())


def test_the_two_declarations_are_independent() -> None:
    """An agent may have either or both."""

    def agent() -> None: ...

    assert is_repeatable(repeatable(agent))
    assert not is_stateless(agent)
    assert is_stateless(stateless(agent))
    assert is_repeatable(agent)
