"""httpbin directly and through a router: what a maintained test service of HTTP says of each request."""

from __future__ import annotations

from collections.abc import Generator
from typing import cast
from urllib.parse import urlsplit

import pytest

from skyfleet.asgi import ASGIApp, Message, Receive, Scope, Send
from tests.differential import compare, httpbin_cases, platforms
from tests.differential.client import exchange
from tests.differential.httpbin_agent import app
from tests.differential.httpbin_view import plain
from tests.differential.model import LOAD, Case
from tests.differential.routers import Form, Running, started
from tests.functions.support import serving

pytestmark = [pytest.mark.xdist_group("differential")]

FORMS = ("aws", pytest.param("gcp", marks=pytest.mark.emulator))


def identified(inner: ASGIApp) -> ASGIApp:
    """An application whose replies routers take for an agent's."""

    async def outer(scope: Scope, receive: Receive, send: Send) -> None:
        async def marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [LOAD, *message["headers"]]}
            await send(message)

        await inner(scope, receive, marked)

    return outer


@pytest.fixture(scope="module")
def agent() -> Generator[tuple[str, int]]:
    with serving(identified(cast("ASGIApp", app))) as url:
        parts = urlsplit(url)
        yield str(parts.hostname), int(parts.port or 0)


@pytest.fixture(scope="module", params=FORMS)
def router(
    request: pytest.FixtureRequest, agent: tuple[str, int], tmp_path_factory: pytest.TempPathFactory
) -> Generator[Running]:
    form: Form = request.param
    with started(form, tmp_path_factory.mktemp(form), f"http://127.0.0.1:{agent[1]}") as one:
        yield one


@pytest.mark.parametrize("case", httpbin_cases.CASES, ids=str)
def test_httpbin_tells_no_difference(case: Case, agent: tuple[str, int], router: Running) -> None:
    """Its replies are equal, and what it says of the request too, but for what routers add."""
    authority = b"%b:%d" % (agent[0].encode(), agent[1])
    direct = plain(exchange(agent, case.request, authority), authority)
    through = plain(exchange(router.address, case.request, authority), authority)
    if router.form == "aws":
        direct, through = platforms.once(direct), platforms.once(through)
    differences = list(compare.replies(direct, through))
    assert not differences, "\n".join(differences)
