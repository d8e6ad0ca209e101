"""Claims about small pure parts: targets, policies, header fields, event streams, active requests."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.core import policy
from router.core.targets import parse_origin, parse_targets
from router.net import fields
from router.net.errors import InvalidRequest
from skyfleet import sse
from skyfleet.contract import POLICY_NUMBERS
from skyfleet.origin import Origin

pytestmark = pytest.mark.pure

TARGET = {"cloud": "aws", "region": "eu-west-1", "url": "https://a.example.net/", "weight": 3}


def test_a_target_is_read_with_its_origin() -> None:
    """Defaults: weight 1, not repeatable, the scheme's port."""
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
    """What was found and what was expected."""
    _, mistakes = parse_targets([{**TARGET, **change}])
    assert len(mistakes) == 1
    assert expected in mistakes[0]
    assert "expected" in mistakes[0] or "unknown" in mistakes[0]
    assert len(mistakes[0]) < 150


def test_lists_that_are_none_and_doubles_are_mistakes() -> None:
    """Also an empty list, an endless one, and two of the same."""
    wrong: list[object] = [{}, [], None, "x", [TARGET] * 301]
    for value in wrong:
        assert parse_targets(value)[1]
    assert "listed twice" in parse_targets([TARGET, TARGET])[1][0]


def test_loopback_is_decided_by_the_address_not_by_its_looks() -> None:
    """127.0.0.0/8, ::1 and localhost, nothing that only begins like them."""
    for url in ("http://127.0.0.1:1", "http://127.9.9.9", "http://[::1]:1", "http://localhost:1"):
        origin = parse_origin(url)
        assert isinstance(origin, Origin)
        assert origin.loopback
    for url in ("http://127.0.0.1.evil.net", "http://localhost.evil.net", "http://10.0.0.1", "http://127.1"):
        origin = parse_origin(url)
        assert isinstance(origin, Origin)
        assert not origin.loopback


def test_a_policy_is_read_by_its_camel_case_names() -> None:
    """All of the contract's names, and nothing else."""
    names = ("connectTimeoutS", "probeAfterS", "deadlineS", "slowStartS", "ejectionS", "freshS")
    found, mistakes = policy.parse({**dict.fromkeys(names, 1.5), "fall": 2, "rise": 4})
    assert mistakes == []
    assert (found.probe_after_s, found.fresh_s, found.fall, found.rise) == (1.5, 1.5, 2, 4)
    bad: dict[str, object] = {"probeAfterS": float("nan"), "fall": 0, "rise": True, "freshS": "1", "x": 1}
    assert len(policy.parse(bad)[1]) == 5


@pytest.mark.parametrize("name", POLICY_NUMBERS)
def test_each_number_of_a_policy_has_a_range_and_the_mistake_names_it(name: str) -> None:
    """The ends are in it; what is beyond, of another kind or too long for a float is one short line."""
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
def test_a_number_that_makes_no_sense_is_refused(name: str, value: float) -> None:
    """Mostly a wrong unit, which would otherwise show in the worst hour."""
    assert len(policy.parse({name: value})[1]) == 1


def test_what_may_be_switched_off_takes_a_zero_and_attempts_are_counted_whole() -> None:
    """No holding, nothing extra; one attempt is no repeat at all."""
    found, mistakes = policy.parse({"queueTimeoutS": 0, "extraUsdPerHour": 0, "attempts": 1})
    assert mistakes == []
    assert (found.queue_timeout_s, found.extra_usd_per_hour, found.attempts) == (0, 0, 1)
    assert len(policy.parse({"attempts": 2.0})[1]) == 1


def test_a_callers_request_id_is_copied_only_when_it_is_one() -> None:
    """A token of at most 128 bytes."""
    assert fields.request_id([(b"x-request-id", b"a-1")]) == b"a-1"
    for value in (b"", b"a b", b"a" * 129, "ä".encode()):
        assert fields.request_id([(b"x-request-id", value)]) is None


@given(st.binary(max_size=40), st.binary(max_size=40))
def test_no_header_field_can_add_a_line(name: bytes, value: bytes) -> None:
    """What passes the check is one line of the request head."""
    try:
        fields.check_request("GET", b"/", [(name, value)])
    except InvalidRequest:
        return
    head = fields.request_head("GET", b"/", Origin(False, "h", 80), [(name, value)], 0)
    assert head.count(b"\n") == 4
    assert head.count(b"\r") == 4


@given(st.lists(st.binary(max_size=12), max_size=12), st.integers(1, 5))
def test_an_event_stream_passes_whole_whatever_the_pieces(parts: list[bytes], size: int) -> None:
    """At a clean end every byte has gone out, in order."""
    stream = sse.EventStream()
    data = b"\n\n".join(parts)
    out = b"".join(stream.feed(data[at : at + size]) for at in range(0, len(data), size))
    assert data.startswith(out)
    assert out + stream.finish() == data


@given(st.binary(max_size=60), st.integers(1, 7))
def test_what_went_out_before_a_cut_ends_with_a_whole_event(data: bytes, size: int) -> None:
    """So an error event can follow."""
    stream = sse.EventStream()
    out = b"".join(stream.feed(data[at : at + size]) for at in range(0, len(data), size))
    assert stream.repairable
    assert out == b"" or out.endswith((b"\n\n", b"\n\r\n", b"\r\r"))


@pytest.mark.parametrize("end", [b"\n\n", b"\r\n\r\n", b"\r\r", b"\n\r\n", b"\r\n\n"])
@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_an_event_goes_out_with_its_empty_line_however_lines_end(end: bytes, size: int) -> None:
    """The standard lets a stream mix its three ends of a line."""
    stream, first = sse.EventStream(), sse.FirstEvent()
    data = b"data: x" + end
    parts = [data[at : at + size] for at in range(0, len(data), size)]
    assert b"".join(stream.feed(part) for part in parts) == data
    assert [first.feed(part) for part in parts][-1]


def test_an_endless_event_is_passed_on_and_cannot_be_repaired() -> None:
    """Memory stays bounded; after its end the stream is sound again."""
    stream = sse.EventStream()
    big = b"data: " + b"x" * sse.LONGEST_EVENT
    assert stream.feed(big) == big
    assert not stream.repairable
    assert stream.feed(b"y\n\ndata: z") == b"y\n\n"
    assert stream.repairable


def test_a_reply_without_a_body_goes_on_without_a_length() -> None:
    """Of 204 and 304; a server in front would wait for the body and then complain."""
    sent = [(b"content-length", b"5"), (b"etag", b"x")]
    assert fields.downstream(sent) == sent
    for status in (204, 304):
        assert fields.downstream(sent, status) == [(b"etag", b"x")]
