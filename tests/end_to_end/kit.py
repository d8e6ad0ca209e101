"""Miniature function packages and an emulator in this process, for tests of the hosts.

The app is one ASGI callable with a few paths that tests steer; its entry files have the shape of the
project's own, so that each runs under the vendor's real runtime code.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import sys
import zipfile
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

import aiohttp
from yarl import URL

from emulator.desired.model import Address, Cloud, DesiredState, Function, Role
from emulator.runtime.instances.interpreter import Interpreter, at
from emulator.runtime.instances.wheels import Wheels, cache_folder
from emulator.runtime.json_document import Document
from emulator.runtime.ports import Ports
from emulator.runtime.reconciler import Reconciler, Settings
from infra.packaging.tools import Tools

CHECKOUT = Path(__file__).resolve().parents[2]
UV = Path(sys.executable).with_name("uv")

APP = """
import asyncio, json, os
LATER = set()
async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive(); await send({"type": "lifespan.startup.complete"})
        await receive(); await send({"type": "lifespan.shutdown.complete"}); return
    body, more = b"", True
    path = scope["path"]
    if path == "/crash": os._exit(3)
    while more and path != "/early":
        message = await receive(); body += message.get("body", b""); more = message.get("more_body", False)
    async def reply(status, data, kind=b"application/json", more=()):
        await send({"type": "http.response.start", "status": status,
                    "headers": [(b"content-type", kind), (b"x-own", b"1"), *more]})
        await send({"type": "http.response.body", "body": data})
    if path == "/stream":
        await send({"type": "http.response.start", "status": 200,
                    "headers": [(b"content-type", b"text/event-stream")]})
        await send({"type": "http.response.body", "body": b"data: first\\n\\n", "more_body": True})
        while not os.path.exists(os.environ["GATE_FILE"]): await asyncio.sleep(0.01)
        await send({"type": "http.response.body", "body": b"data: last\\n\\n", "more_body": True})
        await send({"type": "http.response.body", "body": b""})
    elif path == "/half":
        from router.net import server
        server.quieten_uvicorn()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        server.log_truncated("id-7 The reply of aws/r0 broke off.")
    elif path == "/later":
        async def later():
            while not os.path.exists(os.environ["GATE_FILE"]): await asyncio.sleep(0.01)
            with open(os.environ["EVENTS_FILE"] + "-later", "w") as f: f.write("done")
        LATER.add(asyncio.create_task(later()))
        await reply(200, b"{}")
    elif path == "/hang": await asyncio.sleep(600)
    elif path == "/big":
        size = scope["query_string"]
        await reply(200, b"x" * int(size), b"text/plain", [(b"content-length", size)])
    elif path == "/echo": await reply(200, body, b"application/octet-stream")
    elif path == "/env": await reply(200, json.dumps(dict(os.environ)).encode())
    elif path == "/events" or (path == "/" and scope["method"] == "POST"):
        with open(os.environ["EVENTS_FILE"], "ab") as f: f.write(body + b"\\n")
        await reply(200, b'{"rounds": 1}')
    else:
        headers = [[k.decode(), v.decode()] for k, v in scope["headers"]]
        await reply(201, json.dumps({"method": scope["method"], "path": path, "pid": os.getpid(),
            "query": scope["query_string"].decode(), "size": len(body), "headers": headers,
            "name": os.environ.get("NAME")}).encode())
"""

RUN_SH = '#!/bin/sh\nexec "${SKYFLEET_PYTHON:-python3}" serve.py\n'
SERVE = f"""
import os, sys
sys.path.append({str(CHECKOUT)!r})
from functions.runtimes.server.runner import run
from app import app
run(app, int(os.environ["AWS_LWA_PORT"]), keep_alive_s=3600)
"""

AZURE_HTTP = """
import os
import azure.functions as func
from azurefunctions.extensions.http.fastapi import Request, Response
from app import app as asgi

class Relayed(Response.response_type if hasattr(Response, "response_type") else Response):
    def __init__(self, request): self.inner = request; self.background = None
    async def __call__(self, scope, receive, send):
        await asgi(self.inner.scope, self.inner.receive, send)

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)
"""
AZURE_ROUTE = """
@app.route(route="{*path}", methods=["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"])
async def entry(req: Request) -> Response:
    return Relayed(req)
"""
AZURE_TIMER = """
import azure.functions as func
import json, os
app = func.FunctionApp()

@app.timer_trigger(schedule="0 * * * * *", arg_name="timer")
async def check(timer: func.TimerRequest) -> None:
    with open(os.environ["EVENTS_FILE"], "ab") as f:
        f.write(json.dumps({"past_due": timer.past_due}).encode() + b"\\n")
"""

GCP_MAIN = """
import functions_framework.aio
from starlette.responses import Response
from app import app as asgi

class Relayed(Response):
    def __init__(self, request): self.inner = request; self.background = None
    async def __call__(self, scope, receive, send):
        await asgi(self.inner.scope, self.inner.receive, send)

@functions_framework.aio.http
async def main(request):
    return Relayed(request)
"""


@cache
def target() -> Interpreter:
    """The interpreter that the daemon would choose on this machine."""
    return at(Tools.find(Path(sys.executable), os.environ).python.path)


@cache
def router_files() -> Mapping[str, bytes]:
    """The router's sources: the miniature app breaks a reply off as the router does."""
    sources = [path for package in ("router", "skyfleet") for path in (CHECKOUT / package).rglob("*.py")]
    return {path.relative_to(CHECKOUT).as_posix(): path.read_bytes() for path in sources}


def files_of(cloud: Cloud, *, timer: bool = False) -> dict[str, bytes]:
    """Content of a package for one cloud."""
    lock = (CHECKOUT / "locks" / f"agent-{cloud}.txt").read_bytes()
    files = {"app.py": APP.encode(), "requirements.txt": lock, **router_files()}
    match cloud:
        case "aws":
            files |= {"run.sh": RUN_SH.encode(), "serve.py": SERVE.encode()}
        case "azure":
            entry = AZURE_TIMER if timer else AZURE_HTTP + AZURE_ROUTE
            host = b'{"version": "2.0", "extensions": {"http": {"routePrefix": ""}}}'
            files |= {"function_app.py": entry.encode(), "host.json": host}
        case "gcp":
            files |= {"main.py": GCP_MAIN.encode()}
    return files


def pack(folder: Path, files: Mapping[str, bytes]) -> tuple[Path, str]:
    """A zip of `files` (scripts executable) and its sha256."""
    folder.mkdir(parents=True, exist_ok=True)
    name = hashlib.sha256(repr(sorted(files.items())).encode()).hexdigest()
    path = folder / f"{name}.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for inner, content in sorted(files.items()):
            info = zipfile.ZipInfo(inner)
            info.external_attr = (0o755 if inner.endswith(".sh") else 0o644) << 16
            archive.writestr(info, content)
    return path, hashlib.sha256(path.read_bytes()).hexdigest()


@dataclass(slots=True)
class Lab:
    """An emulator in this process and its caller."""

    folder: Path
    emulator: Reconciler
    ports: Ports
    session: aiohttp.ClientSession
    imports: Path
    functions: dict[str, Function] = field(default_factory=dict[str, Function])

    def spec(self, cloud: Cloud, *, role: Role = "agent", timer: bool = False, **environ: str) -> Function:
        """A function of `cloud` with the miniature app."""
        package, digest = pack(self.folder / "zips", files_of(cloud, timer=timer))
        own = {"EVENTS_FILE": str(self.folder / f"{cloud}-events"), **environ}
        if cloud == "aws":
            own |= {
                "PYTHONPATH": str(self.imports),
                "AWS_LWA_INVOKE_MODE": "response_stream",
                "AWS_LWA_READINESS_CHECK_PATH": "/ready",
            } | environ
        return Function(
            key=f"{cloud}/here/mini-{role}",
            cloud=cloud,
            region="here",
            name=f"mini-{role}",
            role=role,
            package=package,
            package_hash=digest,
            entry={"aws": "run.sh", "azure": "", "gcp": "main"}[cloud],
            environment=own,
            port=self.ports.allocate(),
            closed=None,
            principal=f"{cloud}-{role}",
            memory_mb=512,
            timeout_s=30,
            concurrency=1 if cloud == "aws" else 8,
            max_instances=4,
            runtime="python3.13",
            web_adapter=cloud == "aws",
            addresses=(Address(f"mini-{role}.{cloud}.example.localhost"),),
        )

    async def deploy(self, *specs: Function, desired: DesiredState | None = None) -> None:
        """Add or change functions; the rest of the world is `world`'s or stays."""
        self.functions |= {spec.key: spec for spec in specs}
        base = desired or self.emulator.desired
        await self.emulator.apply(replace(base, functions=tuple(self.functions.values())))

    def url(self, spec: Function, path: str = "/") -> URL:
        """Public URL of a function; `path` is sent as written."""
        return URL(f"http://127.0.0.1:{spec.port}{path}", encoded=True)


@asynccontextmanager
async def lab(
    folder: Path,
    *,
    idle_s: float = 60,
    adapter: Path | None = None,
    python: Interpreter | None = None,
) -> AsyncGenerator[Lab]:
    """A running emulator in `folder`; nothing of it is left afterwards. python: else the daemon's choice."""
    document = Document(folder / "settings.json")
    ports = Ports(document)
    wheels = Wheels(cache_folder(os.environ), UV, os.environ)
    settings = Settings(
        folder=folder / "emulator",
        logs=folder / "logs",
        interpreter=python or target(),
        wheels=wheels,
        azure_lock=CHECKOUT / "locks" / "emulator-azure.txt",
        adapter=adapter,
        idle_s=idle_s,
        draw=lambda: 0.0,
    )
    emulator = Reconciler(settings, ports, document)
    try:
        await emulator.start()
        imports = await wheels.install(
            (CHECKOUT / "locks" / "agent-aws.txt").read_bytes(), settings.interpreter
        )
        async with aiohttp.ClientSession() as session:
            yield Lab(folder, emulator, ports, session, imports)
    finally:
        await emulator.close()
        ports.close()


async def until(holds: object, within_s: float = 20) -> None:
    """Wait until `holds()` is true; an assertion says when it never was."""
    assert callable(holds)
    async with asyncio.timeout(within_s):
        while not holds():
            await asyncio.sleep(0.01)


async def idle(here: Lab, spec: Function, held: int = 0) -> None:
    """Wait until no instance has a request but for `held` streams.

    A sandbox of Lambda is busy until its runtime asks for the next event, which is after the reply's end. A
    request before that starts another one."""
    pool = here.emulator.hosts[spec.key].version.pool
    await until(lambda: sum(member.inflight for member in pool.members) == held)


async def pid_of(here: Lab, spec: Function) -> int:
    """The process that answers a request."""
    async with here.session.get(here.url(spec, "/x")) as reply:
        return int((await reply.json())["pid"])


async def last_used(here: Lab, spec: Function) -> int:
    """The process that answers while no other request runs."""
    await idle(here, spec)
    return await pid_of(here, spec)
