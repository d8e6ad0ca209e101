"""Claims about redundant sends and a strategy of a request's own: what a caller may ask for."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from router.core.errors import CallerError
from router.core.policy import DEFAULT
from router.core.policy import parse as parse_policy
from router.core.request.options import NONE, RequestOptions, parse_options
from skyfleet.contract import Strategy
from tests.router.support import QUICK, Peer, Received, Script, alive, ok, router, upstream


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("x-skyfleet-strategy", "latency", RequestOptions(strategy=Strategy.LATENCY)),
        ("x-skyfleet-redundant", "3", RequestOptions(parallel=3)),
        ("x-skyfleet-timeout-ms", "1500", RequestOptions(timeout_s=1.5)),
        ("grpc-timeout", "2H", RequestOptions(timeout_s=7200.0)),
        ("grpc-timeout", "1500m", RequestOptions(timeout_s=1.5)),
        ("grpc-timeout", "12345678m", RequestOptions(timeout_s=12345.678)),
        ("x-other", "1", NONE),
    ],
)
def test_options_are_parsed(field: str, value: str, expected: RequestOptions) -> None:
    """Each from its field."""
    assert parse_options([(field.encode(), value.encode())], DEFAULT) == expected


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


@pytest.mark.parametrize("other", [b"one", b"two"])
async def test_a_key_that_is_there_twice_goes_to_no_agent(other: bytes) -> None:
    """Clouds join repeated fields or keep one of them, so it would be another key in each."""
    async with upstream(ok) as up, router([up.url]) as front:
        keys = [(b"idempotency-key", b"one"), (b"idempotency-key", other)]
        reply = await front.client.post("/invoke", headers=keys)
        assert (reply.status_code, reply.json()["error"]["code"]) == (400, "bad-request")
        assert "idempotency-key: got 'one and " in reply.json()["error"]["message"]
        assert not up.asked


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


# With real sockets.


async def test_the_first_good_reply_of_copies_wins_and_the_others_see_their_caller_leave() -> None:
    """All three agents get the request at once; bad and slow ones do not matter."""
    left = asyncio.Event()

    async def hangs(request: Received, peer: Peer) -> None:
        if request.target != "/health":
            await peer.until_closed()
            left.set()

    async def bad(request: Received, peer: Peer) -> None:
        await peer.reply(500)

    async with (
        upstream(hangs) as a,
        upstream(bad) as b,
        upstream(ok) as c,
        router([a.url, b.url, c.url]) as front,
    ):
        reply = await front.client.post(
            "/invoke", content=b"x", headers={"x-skyfleet-redundant": "3", "x-mine": "1"}
        )
        assert (reply.status_code, reply.headers["x-skyfleet-target"]) == (200, "gcp/r2")
        assert reply.headers["x-skyfleet-attempts"] == "3"
        assert "x-skyfleet-hedged" not in reply.headers
        await asyncio.wait_for(left.wait(), 5)
        assert [len(one.asked) for one in (a, b, c)] == [1, 1, 1]
        assert "x-skyfleet-redundant" not in c.asked[0].headers
        status = await front.status()
        assert status["attempts"] == {"requests": 1, "retried": 0, "failed": 0}
        assert [one["inflight"] for one in status["targets"]] == [0, 0, 0]


async def test_copies_of_what_must_not_be_repeated_are_one() -> None:
    """And the reply says so."""
    async with (
        upstream(ok) as a,
        upstream(ok) as b,
        router([a.url, b.url], repeatable=False) as front,
    ):
        wish = {"x-skyfleet-redundant": "2"}
        reply = await front.client.post("/invoke", content=b"x", headers=wish)
        assert reply.headers["x-skyfleet-attempts"] == "1"
        keyed = await front.client.post("/invoke", content=b"x", headers={**wish, "idempotency-key": "1"})
        assert keyed.headers["x-skyfleet-attempts"] == "2"


async def test_a_request_may_choose_its_own_strategy() -> None:
    """For itself alone; a name that is none is a 400, and what is not granted a 403."""
    mine = replace(QUICK, allowed_overrides=frozenset({"strategy"}))
    async with upstream(ok) as a, upstream(ok) as b, router([a.url, b.url], policy=mine) as front:
        replies = [
            await front.client.get("/", headers={"x-skyfleet-strategy": "round-robin"}) for _ in range(4)
        ]
        assert {reply.status_code for reply in replies} == {200}
        assert [len(one.asked) for one in (a, b)] == [2, 2]
        assert "x-skyfleet-strategy" not in a.asked[0].headers
        wrong = await front.client.get("/", headers={"x-skyfleet-strategy": "best"})
        assert (wrong.status_code, wrong.json()["error"]["code"]) == (400, "bad-request")
        denied = await front.client.get("/", headers={"x-skyfleet-redundant": "2"})
        assert (denied.status_code, denied.json()["error"]["code"]) == (403, "not-granted")


def answers(status: int, *, headers: str) -> Script:
    async def script(request: Received, peer: Peer) -> None:
        await (alive(peer) if request.target == "/health" else peer.reply(status, b"sorry", headers=headers))

    return script


async def test_an_answer_that_its_agent_calls_an_error_goes_elsewhere_like_a_500() -> None:
    """If it may be repeated; else it is passed on. Either way the target has failed."""
    wrong = answers(200, headers="x-skyfleet-outcome: error\r\n")
    for repeatable, expected in ((True, "azure/r1"), (False, "aws/r0")):
        async with (
            upstream(wrong) as a,
            upstream(ok) as b,
            router([a.url, b.url], repeatable=repeatable) as front,
        ):
            reply = await front.client.post("/invoke", content=b"x")
            assert (reply.status_code, reply.headers["x-skyfleet-target"]) == (200, expected)
            for _ in range(6):
                await front.client.post("/invoke", content=b"x")
            target = await front.target("aws/r0")
            assert target["state"] == "ejected"
            assert "called its reply an error" in target["reason"]
