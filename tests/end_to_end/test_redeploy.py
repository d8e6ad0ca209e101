"""A new deployment of agents and routers under load: no request is lost, on any of the three clouds.

The clients are as the README advises: they know all routers, and go on with the next one when one refuses a
request or breaks its connection. The agent is declared repeatable. The deployment also makes a new API key,
and routers begin to want one; the clients have the key of before.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field

import aiohttp
import pytest
import requests

from tests.end_to_end.fleet import Fleet

pytestmark = [pytest.mark.emulator, pytest.mark.xdist_group("fleet-2"), pytest.mark.timeout(900)]

RATE = 6.0
# After the deployment: long enough for requests that began before its end.
AFTER_S = 4.0
PATIENCE_S = 30.0
QUIET_S = 3.5
AGENT = f'''
import asyncio
from functions.api import repeatable

@repeatable
async def agent(request):
    """Streams for a while; a request for silence is silent in its middle."""
    yield "new "
    if "silence" in request.messages[-1].content:
        await asyncio.sleep({QUIET_S})
    for number in range(10):
        await asyncio.sleep(0.05)
        yield f"{{number}} "
'''


@dataclass
class Seen:
    """What the clients of one deployment saw. routers: which gave the replies. elsewhere: how often a router
    was left for the next one. unauthorized: how often one refused the API key."""

    sent: int = 0
    lost: list[str] = field(default_factory=list[str])
    routers: set[str] = field(default_factory=set[str])
    targets: set[str] = field(default_factory=set[str])
    texts: set[str] = field(default_factory=set[str])
    elsewhere: int = 0
    unauthorized: int = 0


async def ask(session: aiohttp.ClientSession, urls: list[str], number: int, seen: Seen) -> None:
    """One request, a stream each second time, to the routers in turn until one answers it."""
    stream = number % 2 == 0
    body = {"input": f"what is {number} + 1?", "stream": stream}
    why = ""
    async with asyncio.timeout(PATIENCE_S):
        for step in range(2 * len(urls)):
            url = urls[(number + step) % len(urls)]
            seen.elsewhere += step > 0
            try:
                async with session.post(f"{url}/invoke", json=body) as reply:
                    text = await reply.text()
                    if reply.status == 200 and ("event: done" in text or not stream):
                        seen.routers.add(url)
                        seen.targets.add(reply.headers["x-skyfleet-target"])
                        seen.texts.add("new" if "new 0 1 2" in text else "old")
                        return
                    seen.unauthorized += reply.status == 401
                    why = f"{reply.status} {text[-300:]}"
            except aiohttp.ClientError as error:
                why = repr(error)
    seen.lost.append(why)


def bearer(key: str) -> dict[str, str]:
    """The field of an API key."""
    return {"authorization": f"Bearer {key}"}


async def load(urls: list[str], key: str, until: asyncio.Event, seen: Seen) -> None:
    """Open-loop load until the event and `AFTER_S` beyond."""
    loop = asyncio.get_running_loop()
    began, end = loop.time(), None
    timeout = aiohttp.ClientTimeout(total=PATIENCE_S)
    async with (
        aiohttp.ClientSession(timeout=timeout, headers=bearer(key)) as session,
        asyncio.TaskGroup() as asks,
    ):
        while end is None or loop.time() < end:
            if until.is_set() and end is None:
                end = loop.time() + AFTER_S
            await asyncio.sleep(max(0.0, began + seen.sent / RATE - loop.time()))
            asks.create_task(ask(session, urls, seen.sent, seen))
            seen.sent += 1


async def under_load(fleet: Fleet, key: str) -> Seen:
    """Deploy what the folder holds, while clients with this API key send requests."""
    urls = [str(url).rstrip("/") for url in fleet.facts("outputs")["routerUrls"]]
    assert len(urls) == 3
    seen, done = Seen(), asyncio.Event()
    sending = asyncio.create_task(load(urls, key, done, seen))
    try:
        await asyncio.sleep(2)
        await asyncio.get_running_loop().run_in_executor(None, lambda: fleet.run("up"))
    finally:
        done.set()
        await sending
    return seen


@dataclass(frozen=True)
class Redeployed:
    """The fleet with the new agent and the new routers, and what clients saw meanwhile. former, key: the API
    keys before and after."""

    fleet: Fleet
    seen: Seen
    former: str
    key: str


def api_key(fleet: Fleet) -> str:
    """The one for clients, as the stack's outputs have it."""
    return str(fleet.facts("outputs", "--show-secrets")["apiKey"])


@pytest.fixture(scope="module")
def redeployed(fleet: Fleet) -> Iterator[Redeployed]:
    """A new agent, and routers with a new policy, which want an API key and take the new and the former
    one."""
    agent, config = fleet.root / "functions" / "agent.py", fleet.root / "Pulumi.local.yaml"
    before = {path: path.read_text() for path in (agent, config)}
    agent.write_text(AGENT)
    text = (
        before[config].replace("policy: {", "policy: {heartbeatS: 1, ").replace("open: true", "open: false")
    )
    config.write_text(text.replace("config:\n", "config:\n  skyfleet:apiKeyGeneration: 2\n"))
    former = api_key(fleet)
    try:
        seen = asyncio.run(under_load(fleet, former))
        yield Redeployed(fleet, seen, former, api_key(fleet))
    finally:
        for path, text in before.items():
            path.write_text(text)
        fleet.behind = True


def test_a_new_deployment_under_load_loses_no_request(redeployed: Redeployed) -> None:
    """All agents and routers change; all routers and targets took part, before and after."""
    seen = redeployed.seen
    assert seen.lost == []
    assert seen.sent > 30
    assert len(seen.routers) == 3
    assert {target.partition("/")[0] for target in seen.targets} == {"aws", "azure", "gcp"}
    assert seen.texts == {"old", "new"}


def test_the_former_api_key_stays_valid_through_a_rotation(redeployed: Redeployed) -> None:
    """No router refused it during the deployment. After it each takes both keys, and nothing else."""
    former, key = redeployed.former, redeployed.key
    assert former != key
    assert redeployed.seen.unauthorized == 0
    sent = {"new": bearer(key), "former": bearer(former), "none": {}, "wrong": bearer(f"{key}x")}
    for url in redeployed.fleet.facts("outputs")["routerUrls"]:
        found = {
            name: requests.get(f"{str(url).rstrip('/')}/api/status", headers=fields, timeout=60).status_code
            for name, fields in sent.items()
        }
        assert found == {"new": 200, "former": 200, "none": 401, "wrong": 401}, url


def test_a_silent_stream_gets_comments_through_each_cloud(redeployed: Redeployed) -> None:
    """A router on Lambda, on Azure Functions and on Cloud Run: they come while the agent is silent."""
    for url in redeployed.fleet.facts("outputs")["routerUrls"]:
        asked = f"{str(url).rstrip('/')}/invoke"
        body, fields = {"input": "silence", "stream": True}, bearer(redeployed.key)
        with requests.post(asked, json=body, headers=fields, stream=True, timeout=60) as reply:
            text = "\n".join(reply.iter_lines(chunk_size=1, decode_unicode=True))
        assert text.count(": ping\n") >= 2, (url, text)
        assert text.index('"new ') < text.index(": ping") < text.index('"0 '), (url, text)
        assert "event: done" in text
