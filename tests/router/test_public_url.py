"""Tests of what an application behind a router sees of the client's URL, on each kind of runtime."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any, cast

import pytest
from fastapi import FastAPI, Request, Response
from starlette.applications import Starlette
from starlette.routing import Route

from functions.app import create
from router.core.errors import SettingsError
from router.public_url import PublicUrls, client_address
from skyfleet.asgi import ASGIApp, Receive, Scope, Send
from skyfleet.forwarded import parse_public_url
from tests.fastapi_agent import PAGE
from tests.router.support import Front, closed_url, keys_of, ok, router, served, settings, upstream

Runtime = Callable[[ASGIApp], ASGIApp]


def as_a_server(app: ASGIApp) -> ASGIApp:
    """AWS: uvicorn behind the Lambda Web Adapter."""
    return app


class Passing(Response):
    """The reply of a handler, which passes the request to an application (functions/runtimes)."""

    def __init__(self, app: ASGIApp) -> None:
        super().__init__()
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401 - Starlette's types
        await self._app(scope, receive, send)


def _handler(app: ASGIApp) -> Callable[[Request], Awaitable[Response]]:
    async def handle(request: Request) -> Response:
        return Passing(app)

    return handle


def in_fastapi(app: ASGIApp) -> ASGIApp:
    """Azure: the route of azurefunctions-extensions-http-fastapi (its web.py), without documents."""
    outer = FastAPI(openapi_url=None)
    outer.add_api_route("/{path:path}", _handler(app), response_model=None, methods=["GET", "POST"])
    return cast("ASGIApp", outer)


def in_starlette(app: ASGIApp) -> ASGIApp:
    """Google: the route of functions-framework (its aio module)."""
    return cast("ASGIApp", Starlette(routes=[Route("/{path:path}", _handler(app), methods=["GET", "POST"])]))


RUNTIMES = [as_a_server, in_fastapi, in_starlette]


@contextlib.asynccontextmanager
async def behind_a_router(runtime: Runtime = as_a_server, public_url: str = "") -> AsyncGenerator[Front]:
    """A router with one agent of this process."""
    variables = {"SKYFLEET_AGENT": "tests.fastapi_agent:app"}
    app = create({"SKYFLEET_SIGNING_KEYS": keys_of("agent", "aws/r0"), **variables})
    wrapped = runtime(cast("ASGIApp", app))

    async def whole(scope: Scope, receive: Receive, send: Send) -> None:
        await (app if scope["type"] == "lifespan" else wrapped)(scope, receive, send)

    async with (
        served(whole) as port,
        router([f"http://127.0.0.1:{port}"], SKYFLEET_PUBLIC_URL=public_url) as front,
    ):
        yield front


@pytest.mark.parametrize("runtime", RUNTIMES)
async def test_a_redirect_leads_to_the_router(runtime: Runtime) -> None:
    """FastAPI's own redirect from `/item` to `/item/`, followed by the client."""
    async with behind_a_router(runtime) as front:
        redirect = await front.client.get("/item?a=b")
        here = f"http://127.0.0.1:{front.port}"
        assert (redirect.status_code, redirect.headers["location"]) == (307, f"{here}/item/?a=b")
        followed = await front.client.get("/item?a=b", follow_redirects=True)
        assert followed.status_code == 200
        assert followed.json()["url"] == f"{here}/item/?a=b"


@pytest.mark.parametrize("runtime", RUNTIMES)
async def test_links_documents_and_mounted_applications_have_the_routers_url(runtime: Runtime) -> None:
    """`url_for`, OAuth metadata, the documents page and a mounted application; the same in each runtime."""
    async with behind_a_router(runtime) as front:
        here, get = f"http://127.0.0.1:{front.port}", front.client.get
        seen = (await get("/item/")).json()
        assert (seen["link"], seen["parameters"]) == (f"{here}/item/", {})
        metadata = await get("/.well-known/oauth-protected-resource")
        assert metadata.json() == {"resource": f"{here}/mcp"}
        assert "'/openapi.json'" in (await get("/docs")).text
        assert "/created" in (await get("/openapi.json")).json()["paths"]
        deep = await get("/sub/deep", follow_redirects=True)
        assert deep.json() == {"url": f"{here}/sub/deep/", "link": f"{here}/sub/deep/", "root": "/sub"}
        assert (await get("/sub/openapi.json")).json()["servers"] == [{"url": "/sub"}]


@pytest.mark.parametrize("runtime", RUNTIMES)
async def test_a_configured_url_with_a_prefix_is_in_every_link(runtime: Runtime) -> None:
    """Behind a CDN that removes the prefix; the fields say so too."""
    async with behind_a_router(runtime, "https://agents.example.com/team") as front:
        there, get = "https://agents.example.com/team", front.client.get
        assert (await get("/item")).headers["location"] == f"{there}/item/"
        seen = (await get("/item/")).json()
        assert (seen["url"], seen["link"]) == (f"{there}/item/", f"{there}/item/")
        assert "'/team/openapi.json'" in (await get("/docs")).text
        assert (await get("/openapi.json")).json()["servers"] == [{"url": "/team"}]
        assert (await get("/sub/deep/")).json()["link"] == f"{there}/sub/deep/"
        assert {
            "host: agents.example.com",
            "x-forwarded-proto: https",
            "x-forwarded-host: agents.example.com",
            "x-forwarded-port: 443",
            "x-forwarded-prefix: /team",
            'forwarded: for=127.0.0.1;host="agents.example.com";proto=https',
        } <= set(seen["headers"])


async def test_a_location_that_an_application_took_from_elsewhere_is_corrected(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """For example from its environment, where its own URL is."""
    async with behind_a_router() as front:
        url = (await front.status())["targets"][0]["url"]
        monkeypatch.setenv("OWN_URL", url)
        created = await front.client.post("/created")
        assert created.status_code == 201
        assert created.headers["location"] == f"http://127.0.0.1:{front.port}/item/7?a=b"


async def test_what_a_client_says_of_its_url_is_not_believed() -> None:
    """Nor what it says of its address, where a platform appends the true one."""
    async with behind_a_router() as front:
        reply = await front.client.get(
            "/item/",
            headers={
                "forwarded": "for=6.6.6.6;host=evil.example;proto=https",
                "x-forwarded-host": "evil.example",
                "x-forwarded-proto": "https",
                "x-forwarded-port": "1",
                "x-forwarded-prefix": "/evil",
                "x-skyfleet-forwarded": 'for="6.6.6.6";host="evil.example";proto=https',
                "x-real-ip": "6.6.6.6",
                "x-forwarded-for": "6.6.6.6, 198.51.100.7",
            },
        )
        seen = reply.json()
        assert seen["url"] == f"http://127.0.0.1:{front.port}/item/"
        assert seen["client"] == ["198.51.100.7", 0]
        assert "evil" not in str(seen)
        assert "6.6.6.6" not in str(seen)
        names = [line.partition(":")[0] for line in seen["headers"]]
        assert len(names) == len(set(names))


@pytest.mark.parametrize("chain", [b"\xff", b'1.1.1.1";host="evil.example', b"a", b"1.1.1.1\xff, 2"])
async def test_no_field_of_a_client_makes_a_request_invalid(chain: bytes) -> None:
    """An agent would refuse its signature, which counts against a target."""
    async with behind_a_router() as front:
        reply = await front.client.get("/item/", headers=[(b"x-forwarded-for", chain)])
        assert (reply.status_code, reply.json()["url"]) == (200, f"http://127.0.0.1:{front.port}/item/")
        assert (await front.target("aws/r0"))["errors"] == 0


async def test_each_attempt_of_a_request_and_a_preflight_say_the_same() -> None:
    """Also a preflight without a key has the field, and its signature covers it."""
    async with upstream(ok) as up, router([up.url], SKYFLEET_OPEN="0") as front:
        await front.client.options(
            "/invoke", headers={"origin": PAGE, "access-control-request-method": "POST"}
        )
        sent = up.asked[0].headers["x-skyfleet-forwarded"]
        assert sent == f'for="127.0.0.1";host="127.0.0.1:{front.port}";proto=http'


@pytest.mark.pure
@pytest.mark.parametrize(
    ("host", "expected"),
    [
        (b"abc.lambda-url.eu-west-1.on.aws", b'host="abc.lambda-url.eu-west-1.on.aws";proto=https'),
        (b"A.Example:443", b'host="a.example";proto=https'),
        (b"a.localhost:8080", b'host="a.localhost:8080";proto=http'),
        (b"[::1]:80", b'host="[::1]";proto=http'),
        (b'a";proto=http;x="', b""),
        (b"a b", b""),
        (b"a:99999", b""),
        (b"user@a", b""),
        (b"", b""),
    ],
)
def test_the_host_field_names_the_router(host: bytes, expected: bytes) -> None:
    """https, since platforms serve functions over TLS only; http on this machine."""
    assert PublicUrls(None)[host] == expected


@pytest.mark.pure
def test_names_that_clients_make_up_are_forgotten() -> None:
    """A router keeps a bounded number of them."""
    urls = PublicUrls(None)
    for number in range(1_000):
        assert urls[b"h%d" % number] == b'host="h%d";proto=https' % number
    assert len(urls) <= 64
    fixed = PublicUrls(parse_public_url("https://a.example/x/"))
    assert fixed[b"other"] == b'host="a.example";proto=https;prefix="/x"'


@pytest.mark.pure
@pytest.mark.parametrize(
    ("chain", "expected"),
    [
        (b"", b"192.0.2.9"),
        (b"6.6.6.6, 198.51.100.7", b"198.51.100.7"),
        (b"6.6.6.6, 198.51.100.7:5123, 10.0.128.18", b"198.51.100.7:5123"),
        (b"6.6.6.6, 2001:db8::7, 172.16.3.4, 127.0.0.1", b"2001:db8::7"),
        (b"10.1.1.1, 192.168.1.1", b"192.168.1.1"),
        (b'1.1.1.1";host="evil.example', b""),
        (b'198.51.100.7, x"y', b"198.51.100.7"),
        (b",", b""),
        (b"\xff, 198.51.100.7", b"198.51.100.7"),
        (b"unknown", b""),
    ],
)
def test_the_clients_address_is_the_last_public_one(chain: bytes, expected: bytes) -> None:
    """A client can put what it likes in front of it."""
    assert client_address(chain, "192.0.2.9") == expected
    assert client_address(b"", "") == b""


@pytest.mark.pure
@pytest.mark.parametrize(
    "url", ["agents.example.com", "https://a/b?c=d", "https://u@a", "ftp://a", "https://a/b c"]
)
def test_a_public_url_is_checked(url: str) -> None:
    """The message has an example."""
    with pytest.raises(SettingsError, match=r"SKYFLEET_PUBLIC_URL: got .* https://agents\.example\.com"):
        settings([closed_url()], SKYFLEET_PUBLIC_URL=url)
    assert settings([closed_url()], SKYFLEET_PUBLIC_URL="").public_url is None
