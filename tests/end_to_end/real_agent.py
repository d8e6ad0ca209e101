"""Packages with the project's own runtimes and an agent of a test, for the emulator in this process."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import aiohttp

from emulator.desired.model import CLOUDS, Cloud, Function
from skyfleet import contract
from skyfleet.signing import Keys, sign
from tests.end_to_end.kit import CHECKOUT, Lab, pack
from tests.router.support import keys_of

ENTRY = CHECKOUT / "functions/runtimes/entry"


def package(cloud: Cloud, agent: str) -> Mapping[str, bytes]:
    """The files of a package as the deployment builds it. agent: the source of my_agent.py."""
    sources = [path for name in ("functions", "skyfleet") for path in (CHECKOUT / name).rglob("*.py")]
    own = {
        path.relative_to(CHECKOUT).as_posix(): path.read_bytes()
        for path in sources
        if not path.is_relative_to(ENTRY)
    }
    entries = {path.name: path.read_bytes() for path in (ENTRY / cloud).iterdir() if path.is_file()}
    lock = (CHECKOUT / "locks" / f"agent-{cloud}.txt").read_bytes()
    return own | entries | {"requirements.txt": lock, f"{contract.AGENT_FOLDER}/my_agent.py": agent.encode()}


def place(cloud: Cloud) -> str:
    """The place of a cloud's agent, as the router's tests number them."""
    return f"{cloud}/r{CLOUDS.index(cloud)}"


def function(lab: Lab, cloud: Cloud, agent: str, reference: str, **environ: str) -> Function:
    """An agent function of `cloud` with the keys of its place. reference: "my_agent:attribute"."""
    path, digest = pack(lab.folder / "zips", package(cloud, agent))
    own = {
        contract.APP: "functions.app:create",
        contract.AGENT: reference,
        contract.SIGNING_KEYS: keys_of("agent", place(cloud)),
        contract.CLOUD: cloud,
        **environ,
    }
    spec = lab.spec(cloud)
    return replace(spec, package=path, package_hash=digest, environment={**spec.environment, **own})


async def ask(lab: Lab, spec: Function, path: str, body: bytes = b"{}") -> tuple[int, bytes]:
    """Status and body of the reply to a signed POST."""
    keys = Keys.parse(spec.environment[contract.SIGNING_KEYS])
    fields = sign(keys, "POST", path, b"", body, now=time.time(), nonce=secrets.token_hex(16))
    headers = {name.decode(): value.decode() for name, value in fields}
    async with lab.session.post(lab.url(spec, path), data=body, headers=headers) as reply:
        return reply.status, await reply.read()


async def health(lab: Lab, spec: Function) -> tuple[int, float]:
    """Status of /health and the seconds until its reply."""
    began = time.monotonic()
    timeout = aiohttp.ClientTimeout(total=20)
    async with lab.session.get(lab.url(spec, "/health"), timeout=timeout) as reply:
        await reply.read()
        return reply.status, time.monotonic() - began


def fastapi(imports: Path) -> str:
    """Code that makes FastAPI importable in each cloud from `imports`."""
    return f"import sys\nsys.path.append({str(imports)!r})\n"
