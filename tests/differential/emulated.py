"""Agents and routers of the project in the emulated clouds, for the cases that have an ASGI form.

Each router has one target, an agent in another cloud: what one cloud adds and another would not is found so.
"""

from __future__ import annotations

import json
import re
import secrets
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final, cast

from emulator.desired.model import Cloud, Function
from skyfleet import contract
from skyfleet.http1.head import decoded_path
from skyfleet.signing import Keys, sign
from tests.differential import recording_agent
from tests.differential.client import Got, exchange
from tests.differential.model import Case, Headers, Reply, Request
from tests.differential.recorder import Seen
from tests.end_to_end import real_agent
from tests.end_to_end.kit import CHECKOUT, Lab, pack
from tests.router.support import ROOTS

# The cloud of a router and that of its target.
PAIRS: Final[tuple[tuple[Cloud, Cloud], ...]] = (("aws", "azure"), ("azure", "gcp"), ("gcp", "aws"))


# httpbin and what it needs.
HTTPBIN: Final = frozenset(
    {
        *("a2wsgi", "blinker", "brotlicffi", "cffi", "click", "decorator", "flask", "greenlet", "httpbin"),
        *("itsdangerous", "jinja2", "markupsafe", "pycparser", "six", "typing-extensions", "werkzeug"),
    }
)


def httpbin_lock() -> bytes:
    """The entries of the project's lock for httpbin."""
    entries = re.split(r"\n(?=\S)", (CHECKOUT / "locks/project.txt").read_text())
    chosen = [entry for entry in entries if entry.partition("==")[0] in HTTPBIN]
    assert {entry.partition("==")[0] for entry in chosen} == HTTPBIN  # some by version of Python
    return "\n".join(chosen).encode()


def agent(lab: Lab, cloud: Cloud, records: Path, httpbin: Path) -> Function:
    """The recording agent in a cloud. httpbin: the folder of its packages."""
    source = Path(recording_agent.__file__).read_text()
    paths = {"RECORDS": str(records), "HTTPBIN": str(httpbin)}
    return real_agent.function(lab, cloud, source, "my_agent:app", **paths)


def router(lab: Lab, cloud: Cloud, target: Function) -> Function:
    """A router in a cloud."""
    entry = real_agent.ENTRY / cloud
    files = {
        path.relative_to(CHECKOUT).as_posix(): path.read_bytes()
        for name in ("functions", "router", "skyfleet")
        for path in (CHECKOUT / name).rglob("*.py")
        if not path.is_relative_to(real_agent.ENTRY)
    }
    files |= {path.name: path.read_bytes() for path in entry.iterdir() if path.is_file()}
    files["requirements.txt"] = (CHECKOUT / "locks" / f"router-{cloud}.txt").read_bytes()
    package, digest = pack(lab.folder / "zips", files)
    one = {
        "cloud": target.cloud,
        "region": real_agent.place(target.cloud).partition("/")[2],
        "url": f"http://127.0.0.1:{target.port}",
        "weight": 1,
        "repeatable": True,
    }
    own = {
        contract.APP: "router.app:create",
        contract.ROLE: "router",
        contract.CLOUD: cloud,
        contract.REGION: "r0",
        contract.TARGETS: json.dumps([one]),
        contract.ROOT_KEYS: ROOTS,
        contract.OPEN: "1",
        contract.AGENT_KIND: "asgi",
        "AWS_LWA_READINESS_CHECK_PATH": "/_skyfleet/health",
        "PYTHONPATH": str(lab.imports),  # a deployment puts the packages of the lock into the package
    }
    spec = lab.spec(cloud, role="router")
    return replace(spec, package=package, package_hash=digest, environment={**spec.environment, **own})


def signature(spec: Function, request: Request) -> Headers:
    """The fields with which a router signs a request for this agent."""
    keys = Keys.parse(spec.environment[contract.SIGNING_KEYS])
    path, _, query = request.target.partition(b"?")
    return tuple(
        sign(
            keys,
            request.method.decode(),
            decoded_path(path),
            query,
            request.body,
            now=time.time(),
            nonce=secrets.token_hex(16),
        )
    )


def tell(records: Path, reply: Reply) -> None:
    """Make all agents reply so; what they have seen is forgotten."""
    for old in records.glob("seen-*"):
        old.unlink()
    body, size = reply.body, reply.size
    chunked = reply.framing == "chunked"
    parts = [body[start : start + size] for start in range(0, len(body), size)] if chunked else [body]
    fields = [*reply.fields]
    if reply.framing == "length":
        fields.append((b"content-length", b"%d" % (len(body) if reply.length is None else reply.length)))
    told = {
        "status": reply.status,
        "fields": [[name.decode("latin-1"), value.decode("latin-1")] for name, value in fields],
        "parts": [part.decode("latin-1") for part in (*parts, b"")[: max(1, len(parts))]] or [""],
    }
    (records / "reply.json").write_text(json.dumps(told))


def seen(records: Path) -> list[Seen]:
    """What agents have recorded since the last `tell`."""
    found: list[Seen] = []
    for path in sorted(records.glob("seen-*")):
        one: Mapping[str, object] = json.loads(path.read_text())
        fields = tuple((_octets(pair[0]), _octets(pair[1])) for pair in _pairs(one["fields"]))
        method, target, body = (_octets(one[name]) for name in ("method", "target", "body"))
        found.append(Seen(method, target, b"HTTP/1.1", fields, body, "none", ()))
    return found


def through(records: Path, spec: Function, case: Case, more: Headers = ()) -> tuple[Seen, Got]:
    """One exchange with a function: what the agent saw and what the client got."""
    tell(records, case.reply)
    assert spec.port is not None
    authority = b"127.0.0.1:%d" % spec.port
    got = exchange(("127.0.0.1", spec.port), case.request, authority, more)
    found = seen(records)
    assert len(found) == 1, f"the agent saw {found}; the client got {got}"
    return found[0], got


def _pairs(value: object) -> list[list[object]]:
    assert isinstance(value, list)
    return cast("list[list[object]]", value)


def _octets(value: object) -> bytes:
    assert isinstance(value, str)
    return value.encode("latin-1")
