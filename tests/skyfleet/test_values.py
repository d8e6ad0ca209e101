"""Tests of `frozen`."""

from __future__ import annotations

from dataclasses import field, replace

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
