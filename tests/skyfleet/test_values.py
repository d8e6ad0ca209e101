"""Tests of `frozen`."""

from __future__ import annotations

from dataclasses import field, fields, replace
from typing import Any, cast

import pytest

from skyfleet.values import frozen

pytestmark = pytest.mark.pure


@frozen
class Point:
    """A value with a secret."""

    x: int
    y: int = 0
    secret: str = field(default="", repr=False)


@frozen
class Other:
    """The same fields, another class."""

    x: int
    y: int = 0
    secret: str = ""


def test_values_with_equal_fields_are_equal_and_hash_alike() -> None:
    """Values of different classes are never equal."""
    assert Point(1, 2) == Point(1, 2)
    assert hash(Point(1, 2)) == hash(Point(1, 2))
    assert Point(1, 2) != Point(2, 1)
    assert Point(1, 2) != Other(1, 2)
    assert Point(1, 2) != (1, 2, "")


def test_a_value_shows_its_fields_but_no_secret() -> None:
    """A field with `repr=False` is left out, as in a dataclass."""
    assert repr(Point(1, secret="hidden")) == "Point(x=1, y=0)"


def test_a_value_is_changed_by_making_another() -> None:
    """`replace` returns a new value, and unknown attributes cannot be set."""
    before = Point(1, 2)
    assert replace(before, y=3) == Point(1, 3)
    assert before == Point(1, 2)
    with pytest.raises(AttributeError):
        setattr(before, "z", 1)  # noqa: B010 - the type checker would refuse it in any other form


def test_a_value_is_a_dataclass_also_before_its_first_instance() -> None:
    """`fields` and `replace` find what they look for."""

    @frozen
    class Unused:
        """Without an instance."""

        x: int
        items: list[int] = field(default_factory=list[int])

    assert [one.name for one in fields(cast("Any", Unused))] == ["x", "items"]
    assert Unused(1).items is not Unused(1).items


def test_a_value_refuses_wrong_arguments_as_a_dataclass_does() -> None:
    """At its first instance and at later ones."""

    @frozen
    class Strict:
        """One field without a default."""

        x: int

    make: Any = Strict
    for _ in range(2):
        with pytest.raises(TypeError, match="missing 1 required positional argument: 'x'"):
            make()
        with pytest.raises(TypeError, match="unexpected keyword argument 'y'"):
            make(1, y=2)
    assert Strict(1).x == 1
