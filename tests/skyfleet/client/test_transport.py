"""Tests of both transports over both libraries: where a request goes, and what is never sent twice.

The inner transport is a table of what each router does; what needs sockets is at the end.
"""

from __future__ import annotations

import asyncio
import inspect
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, cast

import httpx
import httpx2
import pytest
from openai import AsyncOpenAI, OpenAI

import skyfleet.client
from skyfleet.client.transport import AsyncTransport, Transport

URLS = ["https://a.example", "https://b.example", "https://c.example/team"]
ROUTER = {"x-request-id": "1"}
Reply = Callable[[Any], Any]


@dataclass
class World:
    """Routers by host. seen: what reached them. now: of the client's clock."""

    library: Any
    does: dict[str, Any] = field(default_factory=dict[str, Any])
    seen: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    now: float = 0.0

    def handle(self, request: Any) -> Any:  # noqa: ANN401 - of either library
        host = request.url.host
        assert request.headers["host"] == host
        self.seen.append((host, request.url.path))
        does = self.does.get(host, 200)
        if isinstance(does, str):
            raise getattr(self.library, does)("x")
        if isinstance(does, int):
            return self.library.Response(does, headers=ROUTER, text=host)
        return self.library.Response(does[0], headers=does[1])

    @property
    def hosts(self) -> str:
        """The routers that were used, by their first letters; `/` after one: its health."""
        return "".join(host[0] + ("/" if path.endswith("/health") else "") for host, path in self.seen)


@dataclass
class Client:
    """A client of either library, synchronous or not, as one."""

    world: World
    inner: Any

    async def send(self, method: str, url: str = "https://a.example/x", **more: Any) -> Any:  # noqa: ANN401
        made = self.inner.request(method, url, **more)
        return await made if inspect.isawaitable(made) else made


@pytest.fixture(params=["httpx", "httpx2", "async-httpx", "async-httpx2"])
async def client(request: pytest.FixtureRequest) -> Any:  # noqa: ANN401 - a generator
    """Over three routers."""
    kind = str(request.param)
    library: Any = httpx2 if kind.endswith("2") else httpx
    world = World(library)
    mock = library.MockTransport(world.handle)
    if kind.startswith("async"):
        made = AsyncTransport(URLS, library, mock, lambda: world.now)
        async with library.AsyncClient(transport=made) as inner:
            yield Client(world, inner)
    else:
        made = Transport(URLS, library, mock, lambda: world.now)
        with library.Client(transport=made) as inner:
            yield Client(world, inner)


GOES_ON: list[tuple[str, bool, dict[str, Any], str]] = [
    ("POST", False, {}, "a"),
    ("POST", False, {"a.example": "ConnectError"}, "ab"),
    ("POST", False, {"a.example": "ConnectTimeout", "b.example": "ConnectError"}, "abc"),
    ("POST", False, {"a.example": (503, {})}, "ab"),
    ("POST", False, {"a.example": (503, {**ROUTER, "x-should-retry": "true"})}, "ab"),
    ("POST", True, {"a.example": "ReadError"}, "ab"),
    ("POST", True, {"a.example": (502, {})}, "ab"),
    ("GET", False, {"a.example": "RemoteProtocolError"}, "ab"),
]


@pytest.mark.parametrize(("method", "key", "does", "hosts"), GOES_ON)
async def test_a_request_goes_on_where_that_does_no_harm(
    client: Client, method: str, key: bool, does: dict[str, Any], hosts: str
) -> None:
    """And is answered."""
    client.world.does = does
    headers = {"idempotency-key": "k1"} if key else {}
    reply = await client.send(method, content=b"{}" if method == "POST" else None, headers=headers)
    assert reply.status_code == 200
    assert client.world.hosts == hosts


@pytest.mark.parametrize("error", ["ReadError", "WriteError", "RemoteProtocolError", "WriteTimeout"])
async def test_a_post_without_a_key_is_sent_once(client: Client, error: str) -> None:
    """It may have run. The next request goes to the next router."""
    client.world.does = {"a.example": error}
    with pytest.raises(getattr(client.world.library, error)):
        await client.send("POST", content=b"{}")
    assert client.world.hosts == "a"
    assert (await client.send("POST", content=b"{}")).text == "b.example"


@pytest.mark.parametrize("status", [502, 504])
async def test_an_error_that_may_have_run_is_the_callers(client: Client, status: int) -> None:
    """A platform cannot tell whether its function ran."""
    client.world.does = {"a.example": (status, {})}
    assert (await client.send("POST", content=b"{}")).status_code == status
    assert client.world.hosts == "a"


async def test_a_read_timeout_is_the_callers_own(client: Client) -> None:
    """Another router would take as long again."""
    client.world.does = {"a.example": "ReadTimeout"}
    with pytest.raises(client.world.library.ReadTimeout):
        await client.send("GET")
    assert client.world.hosts == "a"


async def test_the_last_routers_result_is_the_callers(client: Client) -> None:
    """Each router is used once."""
    client.world.does = {"a.example": "ConnectError", "b.example": "ConnectError", "c.example": (503, {})}
    assert (await client.send("POST", content=b"{}")).status_code == 503
    assert client.world.hosts == "abc"


async def test_a_lost_router_is_left_out_and_asked_after_its_rest(client: Client) -> None:
    """No request is used to find out whether it is back."""
    client.world.does = {"a.example": "ConnectError"}
    for _ in range(3):
        await client.send("POST", content=b"{}")
    assert client.world.hosts == "abbb"
    client.world.now = 1.0
    await client.send("POST", content=b"{}")
    assert client.world.hosts == "abbba/b"
    client.world.does, client.world.now = {}, 3.0
    assert (await client.send("POST", content=b"{}")).text == "a.example"
    assert client.world.hosts == "abbba/ba/a"


async def test_a_refusal_for_now_is_better_than_a_silent_router(client: Client) -> None:
    """A request does not go on to one that does not answer, to wait there for its own timeout."""
    client.world.does = {"a.example": "ConnectError", "b.example": (429, {}), "c.example": (429, {})}
    assert (await client.send("GET")).status_code == 429
    client.world.does["a.example"] = "ReadTimeout"
    client.world.now = 2.0  # its rest is over: it is asked, and is silent
    client.world.seen.clear()
    assert (await client.send("GET")).status_code == 429
    assert client.world.hosts == "a/b/c"
    client.world.seen.clear()
    assert (await client.send("GET")).status_code == 429
    assert client.world.hosts == "bc"


async def test_a_path_below_a_routers_url_is_kept(client: Client) -> None:
    """With its query, byte by byte."""
    client.world.does = {"a.example": "ConnectError", "b.example": "ConnectError"}
    reply = await client.send("GET", "https://a.example/v1/a%2Fb?c=%20d")
    assert str(reply.request.url) == "https://a.example/v1/a%2Fb?c=%20d"
    assert client.world.seen[-1] == ("c.example", "/team/v1/a/b")


async def test_a_request_for_another_host_is_none_of_the_fleets(client: Client) -> None:
    """A redirect may lead there, and it gets no second router."""
    client.world.does = {"other.example": "ConnectError"}
    with pytest.raises(client.world.library.ConnectError):
        await client.send("GET", "https://other.example/x")
    assert [host for host, _ in client.world.seen] == ["other.example"]


@pytest.mark.parametrize(
    "urls",
    [
        [],
        "a.example",
        ["a.example"],
        ["ftp://a.example"],
        ["https://a.example:99999"],
        ["https://a.example", ""],
        ["https://a.example", None],
        ["https://user:word@a.example"],
        ["https://a.example/?x=1"],
        ["https://a.example/#x"],
    ],
)
def test_what_is_no_url_is_refused(urls: Any) -> None:  # noqa: ANN401 - what callers may give
    """At once, with what was found."""
    with pytest.raises(ValueError, match="expected URLs of routers"):
        skyfleet.client.transport(urls)


def test_a_router_that_is_given_twice_is_used_once() -> None:
    """In any spelling. One URL needs no list."""
    world = World(httpx, {"a.example": "ConnectError"})
    for urls in (["https://a.example", "https://a.example/", "https://A.example:443"], "https://a.example"):
        made = Transport(urls, httpx, httpx.MockTransport(world.handle))
        with httpx.Client(transport=made) as client, pytest.raises(httpx.ConnectError):
            client.get("https://a.example/x")
    assert world.hosts == "aa"


def test_a_path_that_only_begins_like_a_routers_is_none_of_the_fleets() -> None:
    """A prefix ends at a segment."""
    world = World(httpx, {"a.example": "ConnectError"})
    urls = ["https://a.example/team", "https://b.example"]
    with httpx.Client(transport=Transport(urls, httpx, httpx.MockTransport(world.handle))) as client:
        with pytest.raises(httpx.ConnectError):
            client.get("https://a.example/teams/x")
        assert client.get("https://a.example/team/x").text == "b.example"
        assert client.get("https://a.example/team?y").text == "b.example"
    assert [path for host, path in world.seen if host == "b.example"] == ["/x", "/"]


def test_an_iterator_is_sent_once() -> None:
    """After a connection was made its content is gone, whatever the key says."""
    world = World(httpx, {"a.example": "ReadError"})
    made = Transport(URLS, httpx, httpx.MockTransport(world.handle))

    def body() -> Iterator[bytes]:
        yield b"{}"

    with httpx.Client(transport=made) as client, pytest.raises(httpx.ReadError):
        client.post("https://a.example/x", content=body(), headers={"idempotency-key": "k"})
    assert world.hosts == "a"


class Silent:
    """Takes connections and never replies, as a lost cloud does that keeps its front end."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Silent:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()


CHAT: Any = {"model": "m", "messages": [{"role": "user", "content": "x"}]}
REPLY = (
    b'{"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": [{"index": 0, '
    b'"finish_reason": "stop", "message": {"role": "assistant", "content": "84"}}]}'
)


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One reply of a router."""
    await reader.readuntil(b"\r\n\r\n")
    head = b"HTTP/1.1 200 OK\r\nx-request-id: 1\r\nconnection: close\r\ncontent-type: application/json\r\n"
    writer.write(head + b"content-length: %d\r\n\r\n" % len(REPLY) + REPLY)
    await writer.drain()
    writer.close()


def key(text: str) -> Any:  # noqa: ANN401 - what the library takes
    return {"idempotency-key": text}


def creating(client: Any) -> Any:  # noqa: ANN401 - its overloads take no mapping of options
    return client.chat.completions.create


async def test_a_keyed_request_leaves_a_silent_router_and_a_plain_one_waits() -> None:
    """The official client, in one line. The plain one ends by its own timeout, sent once."""
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    alive = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        with Silent() as silent:
            urls = [silent.url, alive]
            http = skyfleet.client.async_openai(urls, trust_env=False)
            async with AsyncOpenAI(base_url=f"{urls[0]}/v1", api_key="k", http_client=http) as client:
                done = await creating(client)(**CHAT, extra_headers=key("k1"))
                assert done.choices[0].message.content == "84"
                # It rests now, so a plain request does not meet it.
                again = await creating(client)(**CHAT)
                assert again.choices[0].message.content == "84"

            def sync() -> str | None:
                http = skyfleet.client.openai(urls, trust_env=False)
                with OpenAI(base_url=f"{urls[0]}/v1", api_key="k", http_client=http) as client:
                    done = creating(client)(**CHAT, extra_headers=key("k2"))
                    return cast("str", done.choices[0].message.content)

            assert await asyncio.to_thread(sync) == "84"
            http = skyfleet.client.async_openai(urls, trust_env=False, timeout=1.5)
            async with http:
                with pytest.raises(httpx2.ReadTimeout):
                    await http.post(f"{urls[0]}/v1/x", json={})


async def test_requests_that_wait_for_one_router_share_its_question() -> None:
    """And move on together. A pool without a free connection is no silence of a router."""
    asked, alive = list[str](), list[str]()

    async def handle(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/health":
            asked.append(request.url.host)
            if len(asked) == 1:
                raise httpx.PoolTimeout("x")
            raise httpx.ReadTimeout("x")
        if request.url.host == "a.example":
            await asyncio.Event().wait()
        alive.append(request.url.host)
        return httpx.Response(200, headers=ROUTER)

    made = AsyncTransport(URLS, httpx, httpx.MockTransport(handle))
    async with httpx.AsyncClient(transport=made) as client:
        posts = [
            client.post("https://a.example/x", content=b"{}", headers=key(f"k{number}"))
            for number in range(20)
        ]
        replies = await asyncio.gather(*posts)
    assert {reply.status_code for reply in replies} == {200}
    assert alive == ["b.example"] * 20
    assert asked == ["a.example", "a.example"]


def test_a_router_that_refuses_connections_costs_no_request() -> None:
    """Over a real socket, by the library of the OpenAI client."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        gone = f"http://127.0.0.1:{listener.getsockname()[1]}"

    async def run() -> str:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        alive = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with server, skyfleet.client.async_openai([gone, alive], trust_env=False) as http:
            return cast("str", (await http.post(f"{gone}/v1/x", json={})).text)

    assert "84" in asyncio.run(run())


def test_importing_skyfleet_does_not_import_the_client() -> None:
    """Functions import `skyfleet` and have no httpx."""
    code = "import sys, skyfleet, skyfleet.signing; print('skyfleet.client' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
