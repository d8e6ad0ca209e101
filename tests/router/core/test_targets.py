"""Tests of the target list's mistakes."""

from __future__ import annotations

import pytest

from router.core.targets import parse_origin, parse_targets
from skyfleet.origin import Origin

pytestmark = pytest.mark.pure


@pytest.mark.parametrize("entry", [None, 1, "aws", ["aws"]])
def test_an_entry_that_is_no_object_is_named_with_an_example(entry: object) -> None:
    """The message has the type of what was found."""
    found, mistakes = parse_targets([entry])
    assert not found
    assert f"got {type(entry).__name__}, expected an object, e.g. " in mistakes[0]


TARGET = {"cloud": "aws", "region": "eu-west-1", "url": "https://a.example.net/", "weight": 3}


def test_a_target_is_parsed_with_its_origin() -> None:
    """The defaults are weight 1, not repeatable, and the port of the scheme."""
    (target,), mistakes = parse_targets([{"cloud": "gcp", "region": "x", "url": "https://a.example.net"}])
    assert mistakes == []
    assert (target.key, target.weight, target.repeatable) == ("gcp/x", 1.0, False)
    assert target.origin == Origin(True, "a.example.net", 443)
    assert target.origin.authority == "a.example.net"
    assert Origin(False, "::1", 8080).authority == "[::1]:8080"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"cloud": "AWS"}, "cloud"),
        ({"region": "../x"}, "region"),
        ({"region": None}, "region"),
        ({"weight": -0.1}, "weight"),
        ({"weight": float("nan")}, "weight"),
        ({"weight": float("inf")}, "weight"),
        ({"weight": True}, "weight"),
        ({"weight": 10**400}, "weight"),
        ({"weight": 5e-324}, "from 0.000001 to 1000000"),
        ({"weight": 2_000_000}, "weight"),
        ({"price": 10**400}, "price"),
        ({"price": -1}, "from 0 to 1000000000"),
        ({"price": 1e300}, "price"),
        ({"price": float("nan")}, "price"),
        ({"weight": 0}, "every weight is 0"),
        ({"repeatable": "yes"}, "repeatable"),
        ({"color": 1}, "color"),
        ({"url": "https://a.example.net/path"}, "url"),
        ({"url": "https://a.example.net?x"}, "url"),
        ({"url": "https://user@a.example.net"}, "url"),
        ({"url": "https://a.example.net:99999"}, "url"),
        ({"url": "ftp://a.example.net"}, "url"),
        ({"url": "https://"}, "url"),
        ({"url": "http://a\r\nb"}, "url"),
        ({"url": 3}, "url"),
    ],
)
def test_a_wrong_target_is_a_mistake_that_names_the_field(change: dict[str, object], expected: str) -> None:
    """The message has the found value and the expected form."""
    _, mistakes = parse_targets([{**TARGET, **change}])
    assert len(mistakes) == 1
    assert expected in mistakes[0]
    assert "expected" in mistakes[0] or "unknown" in mistakes[0]
    assert len(mistakes[0]) < 150


def test_invalid_lists_and_duplicates_are_mistakes() -> None:
    """An empty list and a list beyond the limit are mistakes too."""
    wrong: list[object] = [{}, [], None, "x", [TARGET] * 301]
    for value in wrong:
        assert parse_targets(value)[1]
    assert "listed twice" in parse_targets([TARGET, TARGET])[1][0]


def test_loopback_is_decided_by_the_address() -> None:
    """Only 127.0.0.0/8, ::1 and localhost count, and no name that begins like them."""
    for url in ("http://127.0.0.1:1", "http://127.9.9.9", "http://[::1]:1", "http://localhost:1"):
        origin = parse_origin(url)
        assert isinstance(origin, Origin)
        assert origin.loopback
    for url in ("http://127.0.0.1.evil.net", "http://localhost.evil.net", "http://10.0.0.1", "http://127.1"):
        origin = parse_origin(url)
        assert isinstance(origin, Origin)
        assert not origin.loopback
