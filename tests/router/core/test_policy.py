"""Tests of the policy that a deployment may set."""

from __future__ import annotations

import pytest

from router.core.errors import RouterError, SettingsError
from router.core.policy import DEFAULT, parse
from skyfleet import contract

pytestmark = pytest.mark.pure


@pytest.mark.parametrize(
    ("key", "value", "field", "expected"),
    [
        ("fall", 4, "fall", 4),
        ("hedgeShare", 0.5, "hedge_share", 0.5),
        ("deadlineS", 60, "deadline_s", 60),
        ("hedge", "off", "hedge", "off"),
        ("allowedOverrides", [], "allowed_overrides", frozenset[str]()),
        ("allowedOverrides", ["strategy"], "allowed_overrides", frozenset({"strategy"})),
    ],
)
def test_a_value_changes_its_field_only(key: str, value: object, field: str, expected: object) -> None:
    """All other fields keep their defaults."""
    found, mistakes = parse({key: value})
    assert not mistakes
    changed = {name for name in DEFAULT.__match_args__ if getattr(found, name) != getattr(DEFAULT, name)}
    assert (changed, getattr(found, field)) == ({field}, expected)


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("hedge", "maybe", "hedge: got 'maybe', expected one of auto, on, off"),
        ("hedge", True, "hedge: got True, expected one of auto, on, off"),
        ("allowedOverrides", "strategy", "expected a list of strategy, redundant"),
        ("allowedOverrides", ["all"], "expected a list of strategy, redundant"),
        ("stallS", 1, "stallS: unknown; expected one of"),
        ("fall", True, "fall: got True, expected a whole number from 1 to 10, e.g. 3"),
        ("fall", 2.0, "a whole number from 1 to 10"),
        ("fall", 0, "a whole number from 1 to 10"),
        ("hedgeShare", "much", "a number from 0.001 to 1, e.g. 0.03"),
        ("hedgeShare", float("nan"), "a number from 0.001 to 1"),
        ("deadlineS", 10**4000, "deadlineS: got "),
    ],
)
def test_a_mistake_names_what_was_found_and_what_is_expected(key: str, value: object, expected: str) -> None:
    """The field keeps its default, and the message is short whatever the value is."""
    found, mistakes = parse({key: value})
    assert found == DEFAULT
    assert len(mistakes) == 1
    assert expected in mistakes[0]
    assert len(mistakes[0]) < 400


def test_every_settable_number_is_a_field_within_its_range() -> None:
    """The range in the shared contract contains the router's default."""
    for key, (least, most) in contract.POLICY_NUMBERS.items():
        assert least <= getattr(DEFAULT, contract.snake_case(key)) <= most, key


def test_an_error_of_the_settings_lists_every_mistake() -> None:
    """One line for each."""
    error = SettingsError(["a: wrong", "b: wrong"])
    assert isinstance(error, RouterError)
    assert error.mistakes == ("a: wrong", "b: wrong")
    assert str(error) == "The configuration has 2 mistake(s):\n  - a: wrong\n  - b: wrong"
