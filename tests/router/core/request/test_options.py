"""Tests of the options that a request may have in its header fields."""

from __future__ import annotations

import pytest

from router.core.errors import CallerError
from router.core.policy import DEFAULT
from router.core.policy import parse as parse_policy
from router.core.request.options import NONE, RequestOptions, parse_options
from skyfleet.contract import Strategy

pytestmark = pytest.mark.pure


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("x-skyfleet-strategy", "latency", RequestOptions(strategy=Strategy.LATENCY)),
        ("x-skyfleet-redundant", "3", RequestOptions(parallel=3)),
        ("x-skyfleet-timeout-ms", "1500", RequestOptions(timeout_s=1.5)),
        ("grpc-timeout", "2H", RequestOptions(timeout_s=7200.0)),
        ("grpc-timeout", "1500m", RequestOptions(timeout_s=1.5)),
        ("grpc-timeout", "12345678m", RequestOptions(timeout_s=12345.678)),
        ("x-skyfleet-heartbeat", "off", RequestOptions(heartbeat=False)),
        ("x-skyfleet-heartbeat", "on", NONE),
        ("x-other", "1", NONE),
    ],
)
def test_options_are_parsed(field: str, value: str, expected: RequestOptions) -> None:
    """Each from its field."""
    assert parse_options([(field.encode(), value.encode())], DEFAULT) == expected


@pytest.mark.parametrize(
    "fields",
    [
        [],
        [(b"x-other", b"1")],
        [(b"accept", b"*/*")],
        [(b"accept", b"application/json, text/event-stream"), (b"x-other", b"1")],
        [(b"accept", b"application/json, text/event-stream"), (b"accept", b"*/*")],
        [(b"accept", b"*/*"), (b"mcp-method", b"tools/list")],
        [(b"accept", b"*/*"), (b"idempotency-key", b"a"), (b"x-skyfleet-timeout-ms", b"900")],
    ],
)
def test_the_options_are_the_same_whether_the_fields_are_known_by_name(
    fields: list[tuple[bytes, bytes]],
) -> None:
    """Nearly all requests are looked at by name, those that repeat a field by their list."""
    assert parse_options(fields, DEFAULT, dict(fields)) == parse_options(fields, DEFAULT)


def test_of_two_timeouts_the_shorter_counts() -> None:
    """The client that set the longer one will have left by the other."""
    both = [(b"x-skyfleet-timeout-ms", b"900"), (b"grpc-timeout", b"1S")]
    assert parse_options(both, DEFAULT).timeout_s == 0.9


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("x-skyfleet-strategy", "best", "one of weighted"),
        ("x-skyfleet-redundant", "4", "1, 2 or 3"),
        ("x-skyfleet-redundant", "", "1, 2 or 3"),
        ("x-skyfleet-heartbeat", "30", "on or off"),
        ("x-skyfleet-timeout-ms", "0", "e.g. 1500"),
        ("x-skyfleet-timeout-ms", "-1", "e.g. 1500"),
        ("x-skyfleet-timeout-ms", "1.5", "e.g. 1500"),
        ("x-skyfleet-timeout-ms", "9" * 11, "at most 10 digits"),
        ("x-skyfleet-timeout-ms", "9" * 400, "at most 10 digits"),
        ("grpc-timeout", "1500", "e.g. 1500m"),
        ("grpc-timeout", "m", "e.g. 1500m"),
        ("grpc-timeout", "1s", "e.g. 1500m"),
        ("grpc-timeout", "123456789m", "at most 8 digits"),
    ],
)
def test_a_wish_that_is_not_understood_is_a_400(field: str, value: str, expected: str) -> None:
    """It says what was found and what would do."""
    with pytest.raises(CallerError, match="got") as caught:
        parse_options([(field.encode(), value.encode())], DEFAULT)
    assert caught.value.status == 400
    assert expected in caught.value.message


@pytest.mark.parametrize(
    ("field", "one", "other"),
    [
        ("x-skyfleet-timeout-ms", "1000", "0"),
        ("x-skyfleet-timeout-ms", "1000", "2000"),
        ("grpc-timeout", "1S", "1M"),
        ("x-skyfleet-strategy", "latency", "cost"),
        ("x-skyfleet-redundant", "2", "3"),
        ("x-skyfleet-heartbeat", "off", "on"),
    ],
)
def test_a_wish_that_is_repeated_with_another_value_is_a_400(field: str, one: str, other: str) -> None:
    """In either order; the same value twice is one wish."""
    name = field.encode()
    for first, last in ((one, other), (other, one)):
        with pytest.raises(CallerError, match="expected it once") as caught:
            parse_options([(name, first.encode()), (b"x-other", b"1"), (name, last.encode())], DEFAULT)
        assert caught.value.status == 400
        assert f"{first} and {last}" in caught.value.message
    assert parse_options([(name, one.encode())] * 2, DEFAULT) == parse_options(
        [(name, one.encode())], DEFAULT
    )


def test_a_deployment_may_refuse_wishes() -> None:
    """By `allowedOverrides`, each by its name; timeouts need no permission."""
    policy, mistakes = parse_policy({"allowedOverrides": ["strategy"], "hedge": "off"})
    assert (mistakes, policy.hedge) == ([], "off")
    assert parse_options([(b"x-skyfleet-strategy", b"random")], policy).strategy is Strategy.RANDOM
    with pytest.raises(CallerError, match="x-skyfleet-redundant") as caught:
        parse_options([(b"x-skyfleet-redundant", b"2")], policy)
    assert caught.value.status == 403
    for bad in (
        {"allowedOverrides": "strategy"},
        {"allowedOverrides": ["all"]},
        {"hedge": True},
        {"hedgeShare": 0},
    ):
        assert len(parse_policy(bad)[1]) == 1


@pytest.mark.parametrize("name", [b"idempotency-key", b"x-skyfleet-strategy"])
def test_a_repeated_field_with_another_value_is_a_400(name: bytes) -> None:
    """The message has both values."""
    with pytest.raises(CallerError, match="one and two") as caught:
        parse_options([(name, b"one"), (name, b"two")], DEFAULT)
    assert caught.value.status == 400


def test_a_repeated_key_is_a_400_even_with_the_same_value() -> None:
    """Clouds join repeated fields or keep one, so the key would differ between them."""
    with pytest.raises(CallerError, match="one and one"):
        parse_options([(b"idempotency-key", b"one")] * 2, DEFAULT)
    assert parse_options([(b"idempotency-key", b"one")], DEFAULT) == RequestOptions(key=b"one")


@pytest.mark.parametrize(("value", "key"), [(b'"one"', b"one"), (b'"on', b'"on'), (b"", b"")])
def test_a_quoted_key_meets_the_bare_one_at_its_target(value: bytes, key: bytes) -> None:
    """The agent reads it so too. What is no key is refused by the agent."""
    assert parse_options([(b"idempotency-key", value)], DEFAULT) == RequestOptions(key=key)
