"""The emulated Lambda with the real Lambda Web Adapter and with our stand-in of its protocol: the same."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from typing import Any

import pytest
from anyio import to_thread

from emulator.desired.model import Function
from emulator.runtime.aws.sandbox import midstream_error
from infra.setup.extras.adapter import ADAPTER
from tests.differential.client import exchange
from tests.differential.model import Request
from tests.end_to_end.kit import Lab, lab
from tests.extras import program

pytestmark = pytest.mark.emulator

WAYS = ("stand-in", "adapter")
OCTETS = bytes(range(256)) * 40


@pytest.fixture(scope="module")
async def labs(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[dict[str, Lab]]:
    """One emulator of each way that there is, each with the miniature agent on Lambda."""
    adapter = ADAPTER.cached(os.environ)
    async with AsyncExitStack() as running:
        found: dict[str, Lab] = {}
        for way in WAYS if adapter else WAYS[:1]:
            folder = tmp_path_factory.mktemp(way)
            found[way] = await running.enter_async_context(
                lab(folder, adapter=adapter if way == "adapter" else None)
            )
            await found[way].deploy(found[way].spec("aws", GATE_FILE=str(folder / "gate")))
        yield found


@pytest.fixture(params=WAYS)
def here(labs: dict[str, Lab], request: pytest.FixtureRequest) -> Lab:
    if request.param == "adapter":
        program(ADAPTER)
    return labs[str(request.param)]


def agent(here: Lab) -> Function:
    return here.functions["aws/here/mini-agent"]


async def seen(here: Lab, method: str, path: str, data: bytes | None = None) -> dict[str, Any]:
    """What the agent was request."""
    async with here.session.request(method, here.url(agent(here), path), data=data) as reply:
        assert reply.status == 201
        return await reply.json()


async def test_a_request_arrives_as_it_was_sent(here: Lab) -> None:
    """Method, decoded path, query and every octet of the body; an empty query stays empty."""
    found = await seen(here, "PUT", "/a%20b?x=1&y=%20", OCTETS)
    assert (found["method"], found["path"], found["query"]) == ("PUT", "/a b", "x=1&y=%20")
    assert found["size"] == len(OCTETS)
    assert (await seen(here, "GET", "/a"))["query"] == ""
    for kind in ("application/json", "text/plain; charset=latin-1", "application/octet-stream"):
        url = here.url(agent(here), "/echo")
        async with here.session.post(url, data=OCTETS, headers={"content-type": kind}) as reply:
            assert await reply.read() == OCTETS, kind


async def test_both_ways_add_the_same_fields(labs: dict[str, Lab]) -> None:
    """An agent sees the same names of fields, whichever carries its requests."""
    program(ADAPTER)
    for method, data in (("POST", b"1"), ("POST", b""), ("GET", None), ("DELETE", None)):
        names = {
            way: sorted(name for name, _ in (await seen(here, method, "/a", data))["headers"])
            for way, here in labs.items()
        }
        assert names["stand-in"] == names["adapter"], (method, data)


@pytest.mark.parametrize(
    "target", [b"/a\\b", b"/a/%2e%2e/b", b'/"<{`}>|^', b"/a?q='{x}'|\\^`%zz", b'/a?q="', b"/a?<x>"]
)
async def test_both_ways_make_the_same_of_a_target(labs: dict[str, Lab], target: bytes) -> None:
    """Status, and path and query as an agent sees them; what the adapter fails at is a 502."""
    program(ADAPTER)

    def one(here: Lab) -> tuple[int, str, str]:
        port = agent(here).port or 0
        got = exchange(("127.0.0.1", port), Request(target=target), b"127.0.0.1:%d" % port)
        found = json.loads(got.body) if got.status == 201 else {"path": "", "query": ""}
        return got.status, found["path"], found["query"]

    found = {way: await to_thread.run_sync(one, here) for way, here in labs.items()}
    assert found["stand-in"] == found["adapter"]


async def test_a_stream_passes_while_it_is_produced(here: Lab) -> None:
    """The first event arrives while the agent holds the second back."""
    gate = here.folder / "gate"
    gate.unlink(missing_ok=True)
    async with here.session.get(here.url(agent(here), "/stream")) as reply:
        assert await reply.content.readuntil(b"\n\n") == b"data: first\n\n"
        gate.touch()
        assert await reply.content.read() == b"data: last\n\n"


async def test_a_crash_is_a_502_and_the_next_request_is_served(here: Lab) -> None:
    """A new sandbox takes the place of the one that ended."""
    async with here.session.get(here.url(agent(here), "/crash")) as reply:
        assert reply.status == 502
    assert (await seen(here, "GET", "/a"))["path"] == "/a"


async def test_a_reply_that_breaks_off_ends_well_with_an_error_in_its_text(here: Lab) -> None:
    """The runtime library sends as data what should be a trailer (see `router.net.lambda_errors`)."""
    async with here.session.get(here.url(agent(here), "/half")) as reply:
        assert reply.status == 200
        assert await reply.read() == b"half" + midstream_error("error reading a body from connection")


async def test_an_event_reaches_the_agent(here: Lab) -> None:
    """What is no HTTP request is a POST to the path for events."""
    outcome = await here.emulator.hosts[agent(here).key].event("", b'{"source": "aws.scheduler"}')
    assert outcome.ok
    assert b"aws.scheduler" in (here.folder / "aws-events").read_bytes()
