"""One life cycle in three clouds: our runtimes under the vendors' code, with a FastAPI agent."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from emulator.desired.model import CLOUDS, Cloud, Function
from tests.end_to_end import real_agent
from tests.end_to_end.kit import CHECKOUT, Lab, lab, target, until

pytestmark = [pytest.mark.emulator, pytest.mark.xdist_group("lifecycle"), pytest.mark.timeout(300)]

AGENT = """
import os
from contextlib import asynccontextmanager
from fastapi import FastAPI, Request

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

@app.post("/state")
async def state(request: Request):
    note("request")
    return {"app": request.app.state.started, "request": request.state.client}
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
            await running.deploy(real_agent.function(running, cloud, source, "my_agent:app"))
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
        status, body = await real_agent.ask(here, agent(here, cloud), "/state")
        assert (status, json.loads(body)) == (200, {"app": True, "request": "of the lifespan"})
    assert events(here, cloud) == ["startup", "request", "request"]
    here.emulator.hosts[agent(here, cloud).key].version.pool.recycle()
    if cloud != "azure":
        await until(lambda: events(here, cloud)[-1] == "shutdown")
