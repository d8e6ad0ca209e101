"""Tests of the declarations `repeatable`, `stateless` and `supports`."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from functions.api import (
    CHOICES,
    IMAGES,
    is_repeatable,
    is_stateless,
    repeatable,
    stateless,
    supported,
    supports,
)

DECLARATIONS = [(repeatable, is_repeatable), (stateless, is_stateless)]


@pytest.mark.parametrize(("declare", "is_declared"), DECLARATIONS)
def test_only_objects_with_attributes_can_be_declared(
    declare: Callable[[object], object], is_declared: Callable[[object], bool]
) -> None:
    """The error describes an alternative."""
    with pytest.raises(
        TypeError, match=rf"{declare.__name__}\(\) cannot mark a value of type object.*Wrap it"
    ):
        declare(object())
    assert not is_declared(object())


def test_the_two_declarations_are_independent() -> None:
    """An agent may have either or both."""

    def agent() -> None: ...

    assert is_repeatable(repeatable(agent))
    assert not is_stateless(agent)
    assert is_stateless(stateless(agent))
    assert is_repeatable(agent)


def test_an_agent_declares_what_it_supports() -> None:
    """Nothing else can be declared."""

    @supports(IMAGES, CHOICES)
    def agent() -> None: ...

    assert supported(agent) == {IMAGES, CHOICES}
    assert supported(object()) == set()
    with pytest.raises(ValueError, match="sound"):
        supports("sound")
