"""One life cycle in three clouds: our runtimes under the vendors' code, with a FastAPI agent.

What it sees of its client and what a page of another origin may do is the same, too."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path

import pytest
from httpx import Timeout

from emulator.desired.model import CLOUDS, Cloud, Function
from router.core.policy import Policy
from tests.end_to_end import real_agent
from tests.end_to_end.kit import CHECKOUT, Lab, idle, lab, target, until
from tests.router.support import API_KEY, router

pytestmark = [pytest.mark.emulator, pytest.mark.xdist_group("lifecycle"), pytest.mark.timeout(300)]

AGENT = """
import asyncio
import os
import time
from contextlib import asynccontextmanager
from fastapi import BackgroundTasks, FastAPI, Request
from fastapi.middleware.cors import CORSMiddleware

def note(text):
    with open(os.environ["EVENTS_FILE"], "a") as file:
        file.write(text + "\\n")

@asynccontextmanager
async def lifespan(app):
    note("startup")
    app.state.started = True
    yield {"client": "of the lifespan"}
    note("shutdown")

app = FastAPI(lifespan=lifespan)
app.add_middleware(CORSMiddleware, allow_origins=["https://app.example.net"], allow_headers=["x-api-key"])

@app.get("/item/", name="item")
async def item(request: Request):
    return {"url": str(request.url), "link": str(request.url_for("item")), "client": request.client.host}

@app.post("/state")
async def state(request: Request):
    note("request")
    return {"app": request.app.state.started, "request": request.state.client}

@app.post("/later")
async def later(background: BackgroundTasks):
    async def work():
        while not os.path.exists(os.environ["EVENTS_FILE"] + "-go"):
            await asyncio.sleep(0.01)
        note("later")
    background.add_task(work)
    return {}

@app.post("/block")
async def block():
    time.sleep(1)
    return {}
"""


@pytest.fixture(scope="module")
async def here(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Lab]:
    """One emulator for the module with the agent in each cloud."""
    async with lab(tmp_path_factory.mktemp("lifecycle")) as running:
        wheels = running.emulator.settings.wheels
        lock = (CHECKOUT / "locks" / "agent-azure.txt").read_bytes()
        imports = await wheels.install(lock, target())
        source = real_agent.fastapi(imports) + AGENT
        for cloud in CLOUDS:
            function = real_agent.function(running, cloud, source, "my_agent:app")
            # Lambda starts a sandbox for each request at once; elsewhere one instance gets all.
            size = {"max_instances": 12} if cloud == "aws" else {"max_instances": 1, "concurrency": 40}
            await running.deploy(replace(function, **size))
        yield running


def agent(here: Lab, cloud: Cloud) -> Function:
    return here.functions[f"{cloud}/here/mini-agent"]


def events(here: Lab, cloud: Cloud) -> list[str]:
    file = Path(here.folder / f"{cloud}-events")
    return file.read_text().split() if file.exists() else []


@pytest.mark.parametrize("cloud", CLOUDS)
async def test_the_lifespan_of_an_application_runs_in_each_cloud(here: Lab, cloud: Cloud) -> None:
    """Startup before the first request, `app.state` and `request.state` in each, as on any ASGI server.

    AWS and Google tell the instance of its end. Azure's host ends a Python worker without a word
    (github.com/Azure/azure-functions-python-worker/issues/1521)."""
    for _ in range(2):
        await idle(here, agent(here, cloud))
        status, body = await real_agent.ask(here, agent(here, cloud), "/state")
        assert (status, json.loads(body)) == (200, {"app": True, "request": "of the lifespan"})
    assert events(here, cloud) == ["startup", "request", "request"]
    here.emulator.hosts[agent(here, cloud).key].version.pool.recycle()
    if cloud != "azure":
        await until(lambda: events(here, cloud)[-1] == "shutdown")


@pytest.mark.parametrize("cloud", CLOUDS)
async def test_a_background_task_goes_on_as_the_cloud_lets_it(here: Lab, cloud: Cloud) -> None:
    """Lambda freezes it until the next request; nothing stops it elsewhere.

    That Google takes the CPU away is not emulated."""
    before, spec = events(here, cloud).count("later"), agent(here, cloud)
    await idle(here, spec)
    assert (await real_agent.ask(here, spec, "/later"))[0] == 200
    if cloud == "aws":
        (member,) = here.emulator.hosts[spec.key].version.pool.members
        stat = Path(f"/proc/{member.instance.pid}/stat")
        await until(lambda: stat.read_text().rpartition(")")[2].split()[0] == "T")
        Path(here.folder, f"{cloud}-events-go").touch()
        await asyncio.sleep(0.1)
        assert events(here, cloud).count("later") == before
        async with asyncio.timeout(20):
            while events(here, cloud).count("later") == before:
                await real_agent.ask(here, spec, "/state")
                await idle(here, spec)
    Path(here.folder, f"{cloud}-events-go").touch()
    await until(lambda: events(here, cloud).count("later") == before + 1)


async def test_a_blocked_loop_is_busy_and_not_dead(here: Lab) -> None:
    """20 requests at once to an agent with `time.sleep(1)` in an `async def`: all are answered.

    An instance serves one request after the other, for longer than a router waits without a probe (2 s, and
    2 s for the probe itself). Probes are answered meanwhile, so no target is ejected."""
    urls = [str(here.url(agent(here, cloud), "")).rstrip("/") for cloud in CLOUDS]
    async with router(urls, policy=Policy(), SKYFLEET_STRATEGY="round-robin") as front:
        front.client.timeout = Timeout(60)
        replies = await asyncio.gather(*(front.client.post("/block", content=b"{}") for _ in range(20)))
        assert [reply.status_code for reply in replies] == [200] * 20
        shares = Counter(reply.headers["x-skyfleet-target"] for reply in replies)
        assert min(shares[real_agent.place(cloud)] for cloud in CLOUDS) >= 5
        targets = (await front.status())["targets"]
        assert {target["state"] for target in targets} <= {"healthy", "unknown", "cold"}, targets
    source = real_agent.fastapi(Path()) + AGENT
    line = source[: source.index("time.sleep")].count("\n") + 1
    for cloud in CLOUDS:
        log = Path(here.folder, "logs").rglob("*.log")
        lines = "".join(path.read_text() for path in log if cloud in str(path))
        assert f"my_agent.py:{line}: block blocks the event loop" in lines


async def test_a_client_stays_at_the_router_and_a_page_may_call(here: Lab) -> None:
    """FastAPI's redirect, its links, its documents and its answer to a preflight, from each cloud.

    A followed redirect needs no signature: it leads to the router, which signs."""
    urls = [str(here.url(agent(here, cloud), "")).rstrip("/") for cloud in CLOUDS]
    key, page = {"x-api-key": API_KEY}, {"origin": "https://app.example.net"}
    async with router(urls, policy=Policy(), SKYFLEET_OPEN="0", SKYFLEET_STRATEGY="round-robin") as front:
        router_url, get, seen = f"http://127.0.0.1:{front.port}", front.client.get, Counter[str]()
        front.client.timeout = Timeout(60)
        for _ in CLOUDS:
            asked = {
                **page,
                "access-control-request-method": "GET",
                "access-control-request-headers": "x-api-key",
            }
            for reply in (
                await get("/item?a=b", headers=key),
                await get("/item/?a=b", headers={**key, **page}),
                await get("/openapi.json", headers=key),
                await front.client.options("/item/", headers=asked),
            ):
                target = reply.headers["x-skyfleet-target"]
                seen[target] += 1
                allowed = reply.headers.get("access-control-allow-origin")
                match reply.status_code, reply.request.method, reply.request.url.path:
                    case 307, "GET", "/item":
                        assert reply.headers["location"] == f"{router_url}/item/?a=b", target
                    case 200, "GET", "/item/":
                        item = {"url": f"{router_url}/item/?a=b", "link": f"{router_url}/item/"}
                        assert reply.json() == {**item, "client": "127.0.0.1"}, target
                        assert allowed == page["origin"], target
                    case 200, "GET", "/openapi.json":
                        assert "/block" in reply.json()["paths"], target
                    case 200, "OPTIONS", "/item/":
                        assert allowed == page["origin"], target
                    case other:
                        pytest.fail(f"{target}: {other}")
        assert set(seen) == {real_agent.place(cloud) for cloud in CLOUDS}
        assert (await get("/item", headers=key, follow_redirects=True)).status_code == 200
