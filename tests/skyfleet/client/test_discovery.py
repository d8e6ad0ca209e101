"""Tests of how a client learns the URLs of all routers, and of which lists it uses none."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

import httpx
import httpx2
import pytest

import skyfleet.client
from skyfleet.client import discovery
from skyfleet.client.discovery import DiscoveryError, Question
from skyfleet.router_list import PATH, digest_of, dump, issued, token
from tests.router.snapshots import send, snapshot
from tests.router.support import API_KEY, ok, router, upstream

KEY = "sf-a-made-up-key"
NOW = 1_700_000_123.5
URLS = ("https://a.example", "https://b.example")


def listed(*urls: str, key: str | None = KEY, complete: bool = True, now: float = NOW) -> bytes:
    return dump(issued(urls or URLS, now, complete=complete), None if key is None else digest_of(key))


GIVEN: list[tuple[str, list[str], tuple[str, ...], list[str]]] = [
    ("one of the list", ["https://b.example/"], URLS, list(URLS)),
    ("the same in capitals", ["https://B.example:443"], URLS, list(URLS)),
    ("another name for it", ["https://agents.example"], URLS, [*URLS, "https://agents.example"]),
    (
        "one that is no router any more",
        ["https://b.example", "https://x.example"],
        URLS,
        [*URLS, "https://x.example"],
    ),
    (
        "below localhost",
        ["http://127.0.0.1:9"],
        ("http://r.a.run.app.localhost:9", "http://localhost:8"),
        ["http://127.0.0.1:9", "http://localhost:8"],
    ),
    ("https after http", ["http://127.0.0.1:9"], URLS, [*URLS, "http://127.0.0.1:9"]),
]


@pytest.mark.pure
@pytest.mark.parametrize(
    ("given", "urls", "found"), [row[1:] for row in GIVEN], ids=[row[0] for row in GIVEN]
)
def test_the_list_comes_first_and_what_was_given_stays(
    given: list[str], urls: tuple[str, ...], found: list[str]
) -> None:
    """A request for a given URL is still the fleet's."""
    assert Question(given, KEY).taken(200, listed(*urls), NOW) == found


REFUSED: list[tuple[str, int, bytes, str]] = [
    ("wrong key", 401, b"{}", "does not know this API key"),
    ("no router", 404, b"{}", "Its status is 404"),
    ("redirected", 302, listed(), "Its status is 302"),
    ("lost", 503, b"", "Its status is 503"),
    ("forged", 200, listed(key="sf-other"), "not signed with this API key"),
    ("unsigned", 200, listed(key=None), "It is not signed"),
    ("malformed", 200, b"<html>", "not a JSON object"),
    ("oversized", 200, b" " * 200_000, "more than 131072 bytes"),
    ("expired", 200, listed(now=NOW - 200_000), "It expired"),
    (
        "http for https",
        200,
        listed("https://a.example", "http://b.example"),
        "http://b.example, which is not encrypted",
    ),
    ("http on this machine", 200, listed("http://127.0.0.1:9"), "http://127.0.0.1:9, which is not encrypted"),
]


@pytest.mark.pure
@pytest.mark.parametrize(
    ("status", "body", "why"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED]
)
def test_another_reply_is_an_error_with_words(status: int, body: bytes, why: str) -> None:
    """Never another list."""
    with pytest.raises(DiscoveryError, match=why) as refused:
        Question("https://a.example", KEY).taken(status, body, NOW)
    assert "https://a.example" in str(refused.value)


@pytest.mark.pure
def test_a_router_that_knows_only_itself_leaves_the_given_urls() -> None:
    """What it says of itself is what the request said of it."""
    with pytest.warns(UserWarning, match="knows no other one yet"):
        found = Question(["https://a.example", "https://b.example"], KEY).taken(
            200, listed("https://evil.example", complete=False), NOW
        )
    assert found == ["https://a.example", "https://b.example"]


@pytest.mark.pure
@pytest.mark.parametrize("given", [[], "a.example", ["https://a.example", "x"], "https://u:p@a.example"])
def test_what_is_no_url_is_refused_before_anything_is_sent(given: Any) -> None:  # noqa: ANN401
    """With what was found."""
    with pytest.raises(ValueError, match="expected URLs of routers"):
        Question(given, KEY)


@pytest.mark.pure
def test_without_a_key_only_this_machine_is_asked_and_believed() -> None:
    """Nothing is signed there."""
    with pytest.raises(ValueError, match="Expected an API key"):
        Question(["http://127.0.0.1:9", "https://a.example"], None)
    asked = Question("http://127.0.0.1:9", None)
    assert asked.taken(200, listed("http://127.0.0.1:8", key=None), NOW) == [
        "http://127.0.0.1:8",
        "http://127.0.0.1:9",
    ]
    with pytest.raises(DiscoveryError, match="without a signature"):
        asked.taken(200, listed("https://a.example", key=None), NOW)


Ask = Callable[[Any, list[str]], list[str]]


def plain(handle: Any, urls: list[str]) -> list[str]:  # noqa: ANN401
    mock = httpx.MockTransport(handle)
    return discovery.discover(urls, KEY, library=httpx, inner=mock, clock=lambda: NOW)


def plain2(handle: Any, urls: list[str]) -> list[str]:  # noqa: ANN401
    mock: Any = httpx2.MockTransport(handle)
    return discovery.discover(urls, KEY, library=httpx2, inner=mock, clock=lambda: NOW)


def asynchronous(handle: Any, urls: list[str]) -> list[str]:  # noqa: ANN401
    mock = httpx.MockTransport(handle)
    return asyncio.run(discovery.async_discover(urls, KEY, library=httpx, inner=mock, clock=lambda: NOW))


@pytest.mark.parametrize("ask", [plain, plain2, asynchronous])
def test_the_first_router_that_is_there_is_asked_without_the_key(ask: Ask) -> None:
    """A server in its place learns a token that opens this path only."""
    seen: list[tuple[str, str]] = []

    def handle(request: Any) -> Any:  # noqa: ANN401 - of either library
        library: Any = httpx if isinstance(request, httpx.Request) else httpx2
        seen.append((request.url.host, request.url.path))
        assert KEY not in str(request.headers)
        assert request.headers["authorization"] == f"Bearer {token(digest_of(KEY))}"
        if request.url.host == "a.example":
            raise library.ConnectError("refused")
        return library.Response(200, headers={"x-request-id": "1"}, stream=library.ByteStream(listed()))

    assert ask(handle, list(URLS)) == list(URLS)
    assert seen == [("a.example", PATH), ("b.example", PATH)]


@pytest.mark.parametrize("ask", [plain, plain2, asynchronous])
def test_no_answer_is_an_error_with_words_and_a_long_one_is_not_read(ask: Ask) -> None:
    """Of no more than a list can have."""

    def refuse(request: Any) -> Any:  # noqa: ANN401
        library: Any = httpx if isinstance(request, httpx.Request) else httpx2
        raise library.ConnectError("refused")

    with pytest.raises(DiscoveryError, match=r"No router answered \(ConnectError: refused\)"):
        ask(refuse, list(URLS))

    def flood(request: Any) -> Any:  # noqa: ANN401
        library: Any = httpx if isinstance(request, httpx.Request) else httpx2
        endless = library.ByteStream(b" " * 1_000_000)
        return library.Response(200, headers={"x-request-id": "1"}, stream=endless)

    with pytest.raises(DiscoveryError, match="more than 131072 bytes"):
        ask(flood, list(URLS))


async def test_a_client_learns_the_routers_from_one() -> None:
    """Over the network, with the router's own document. Another key learns nothing."""
    async with upstream(ok) as up, router([up.url], SKYFLEET_OPEN="0") as front:
        url = f"http://127.0.0.1:{front.port}"
        with pytest.warns(UserWarning, match="knows no other one yet"):
            assert await skyfleet.client.async_discover(url, API_KEY) == [url]
        urls = ["http://127.0.0.1:9", url]
        told = {**snapshot(True, at=time.time()), "routers": urls}
        assert (await send(front, json.dumps(told).encode())).status_code == 200
        assert await skyfleet.client.async_discover(url, API_KEY) == urls
        assert await asyncio.to_thread(skyfleet.client.discover, url, API_KEY) == urls
        with pytest.raises(DiscoveryError, match="does not know this API key"):
            await skyfleet.client.async_discover(url, KEY)
