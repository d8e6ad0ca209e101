"""Tests of the policy that a deployment may set."""

from __future__ import annotations

import pytest

from router.core import policy
from router.core.errors import RouterError, SettingsError
from router.core.policy import DEFAULT, parse
from skyfleet import contract
from skyfleet.contract import POLICY_NUMBERS

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


def test_a_policy_is_parsed_by_its_camel_case_names() -> None:
    """Unknown names and invalid values are mistakes."""
    names = ("connectTimeoutS", "probeAfterS", "deadlineS", "slowStartS", "ejectionS", "freshS")
    found, mistakes = policy.parse({**dict.fromkeys(names, 1.5), "fall": 2, "rise": 4})
    assert mistakes == []
    assert (found.probe_after_s, found.fresh_s, found.fall, found.rise) == (1.5, 1.5, 2, 4)
    bad: dict[str, object] = {"probeAfterS": float("nan"), "fall": 0, "rise": True, "freshS": "1", "x": 1}
    assert len(policy.parse(bad)[1]) == 5


@pytest.mark.parametrize("name", POLICY_NUMBERS)
def test_each_number_of_a_policy_has_a_range_and_the_mistake_names_it(name: str) -> None:
    """The bounds are inclusive; any other value is one short mistake."""
    least, most = POLICY_NUMBERS[name]
    for good in (least, most):
        assert policy.parse({name: good})[1] == []
    for bad in (least - 0.001, most * 1.1, 10**400, -(10**400), float("nan"), float("inf"), True, "2", None):
        found, mistakes = policy.parse({name: bad})
        assert found == policy.DEFAULT
        assert len(mistakes) == 1
        assert mistakes[0].startswith(f"{name}: got {bad!r}"[:40])
        assert f"from {least} to {most}, e.g. " in mistakes[0]
        assert len(mistakes[0]) < 150


@pytest.mark.parametrize(
    ("name", "value"),
    [("hedgeShare", 5), ("freshS", 0.001), ("deadlineS", 1e-9), ("ejectionS", 1e9), ("probeAfterS", 1e300)],
)
def test_an_implausible_number_is_refused(name: str, value: float) -> None:
    """Such a number mostly has a wrong unit."""
    assert len(policy.parse({name: value})[1]) == 1


def test_queue_and_extra_cost_can_be_zero_and_attempts_are_integers() -> None:
    """Zero turns the queue and extra attempts off; one attempt means no retry."""
    found, mistakes = policy.parse({"queueTimeoutS": 0, "extraUsdPerHour": 0, "attempts": 1})
    assert mistakes == []
    assert (found.queue_timeout_s, found.extra_usd_per_hour, found.attempts) == (0, 0, 1)
    assert len(policy.parse({"attempts": 2.0})[1]) == 1
