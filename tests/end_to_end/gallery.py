"""All examples as one agent, so that one deployment suffices for the tests of all of them.

Rules
- Each agent function is under its name, the servers of MCP and A2A at the root, FastAPI everywhere else. The
  whole is not repeatable.
- A second MCP server keeps sessions. The metadata are those of the SDK for a server with OAuth.
- The files of the folder are put back at once, and deployed only for a test that wants its agent (the fixture
  `fleet`): a deployment takes longer than most tests.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from infra.setup.compile_locks import all_locks, arguments
from tests.end_to_end.fleet import Fleet

CLOUDS = ("aws", "azure", "gcp")
PACKAGES = "\nfastapi\nnumpy\nmcp\na2a-sdk[http-server]\n"
MODULE = "examples/gallery.py"
SOURCE = """
import os, time
from contextlib import asynccontextmanager
from examples.fastapi_app import app as fastapi
from functions.endpoints import Endpoints
from functions.loading import load

NAMES = ("sync_function", "async_function", "openai_stream", "chain", "numpy_agent")
AGENTS = {name: Endpoints(load(f"examples.{name}:agent"), os.environ, time.time) for name in NAMES}

# After the agents: the first of two that set up logging wins, and one of the agents shows its log.
from mcp.server.auth.routes import create_protected_resource_routes
from pydantic import AnyHttpUrl
from starlette.applications import Starlette
from examples import a2a_agent, mcp_server

kept = mcp_server.MCPServer("kept").streamable_http_app(
    streamable_http_path="/kept/mcp",
    transport_security=mcp_server.TransportSecuritySettings(enable_dns_rebinding_protection=False),
)
metadata = create_protected_resource_routes(
    AnyHttpUrl("http://localhost:8000/mcp"), [AnyHttpUrl("https://login.example.com")]
)

@asynccontextmanager
async def lifespan(app):
    async with (
        mcp_server.app.router.lifespan_context(app),
        kept.router.lifespan_context(app),
        fastapi.router.lifespan_context(fastapi) as state,
    ):
        yield state

routes = [*mcp_server.app.routes, *a2a_agent.app.routes, *kept.routes, *metadata]
servers = Starlette(routes=routes, lifespan=lifespan)

async def app(scope, receive, send):
    first, _, rest = scope.get("path", "/")[1:].partition("/")
    if first in AGENTS:
        await AGENTS[first]({**scope, "path": f"/{rest}"}, receive, send)
    elif scope["type"] == "lifespan" or first in ("mcp", "a2a", ".well-known", "kept"):
        await servers(scope, receive, send)
    else:
        await fastapi(scope, receive, send)
"""
# The line of the server that keeps sessions.
KEPT = f"{MODULE}:{SOURCE[: SOURCE.index('kept =')].count(chr(10)) + 1}"


def lock(root: Path) -> None:
    """Compile the agent's locks, as `make lock` does."""
    uv = Path(sys.executable).with_name("uv")
    for one in all_locks():
        if one.name.startswith("agent-"):
            subprocess.run([uv, *arguments(one, root / "locks" / one.name), "--quiet"], cwd=root, check=True)


def deploy(fleet: Fleet) -> None:
    """Deploy all examples, and put the files of the folder back."""
    changed = ["Pulumi.local.yaml", "functions/requirements.in", *(f"locks/agent-{c}.txt" for c in CLOUDS)]
    before = {name: (fleet.root / name).read_bytes() for name in changed}
    try:
        (fleet.root / MODULE).write_text(SOURCE)
        config = before["Pulumi.local.yaml"].decode()
        agent = config.replace("functions.agent:agent", "examples.gallery:app")
        (fleet.root / "Pulumi.local.yaml").write_text(agent)
        with (fleet.root / "functions/requirements.in").open("a") as requirements:
            requirements.write(PACKAGES)
        lock(fleet.root)
        printed = fleet.run("up", seconds=550)
    finally:
        (fleet.root / MODULE).unlink(missing_ok=True)
        for name, content in before.items():
            (fleet.root / name).write_bytes(content)
        fleet.behind = True
    fleet.gallery = printed
