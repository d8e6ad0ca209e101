"""A whole fleet for tests: a copy of the checkout with its own emulated clouds, driven as a user drives it.

The copy keeps a developer's own running stack out of the tests' way; the commands are those of the README.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import aiohttp
import requests

CHECKOUT = Path(__file__).resolve().parents[2]
Json = dict[str, Any]
# Settings of Pulumi.local.yaml that tests would only wait for.
SHORTER = {
    "slowStartS: 10": "slowStartS: 1, ejectionS: 2",
    "apartS: 1": "apartS: 0.3",
    "minuteS: 5, delays: 0.0167": "minuteS: 3, delays: 0.004",
}


@dataclass(frozen=True, slots=True)
class Call:
    """One call's outcome: HTTP status (0 when no reply came), reply headers, seconds it took."""

    status: int
    headers: Mapping[str, str]
    seconds: float
    problem: str = ""

    @property
    def cloud(self) -> str:
        return self.headers.get("x-skyfleet-target", "").partition("/")[0]


@dataclass(slots=True)
class Fleet:
    """One deployed stack in `root`; `variables` are added to the environment of every command.

    behind: whether files were put back after a deployment, which the next `up` deploys. gallery: what `up`
    printed when it deployed the examples, up to the next deployment.
    """

    root: Path
    variables: dict[str, str] = field(default_factory=dict[str, str])
    behind: bool = field(default=False, init=False)
    gallery: str = field(default="", init=False)
    _url: str = field(default="", init=False)

    @classmethod
    def copy(cls, root: Path) -> Fleet:
        """Copy what git tracks (and would track) into `root`.

        Ejections, slow starts, scheduled checks and emulated delays are shorter there.
        """
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=CHECKOUT,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for name in filter(None, listed.split("\0")):
            source = CHECKOUT / name
            if source.is_file():
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source, root / name)
        (root / ".venv").symlink_to(CHECKOUT / ".venv")
        config = root / "Pulumi.local.yaml"
        text = config.read_text()
        for before, after in SHORTER.items():
            assert before in text, f"Pulumi.local.yaml has no `{before}`"
            text = text.replace(before, after)
        config.write_text(text)
        return cls(root)

    def environment(self) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith("PULUMI_")}
        return kept | {"PYTHONPATH": str(self.root)} | self.variables

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start one `skyfleet` command; `up` leaves the manager out unless `--manager` asks for it."""
        if arguments[0] == "up" and "--manager" not in arguments:
            arguments = (*arguments, "--no-manager")
        return subprocess.Popen(
            [sys.executable, "-m", "infra.cli", *arguments],
            cwd=self.root,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, *arguments: str, code: int | None = 0, seconds: float = 280) -> str:
        """Run one `skyfleet` command and return what it printed; `code` None: any exit code will do."""
        if arguments[0] in ("up", "down"):
            self._url = ""
        process = self.start(*arguments)
        try:
            printed, _ = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            printed, _ = process.communicate()
            raise AssertionError(f"skyfleet {' '.join(arguments)} hung; it printed:\n{printed}") from None
        if arguments[0] == "up" and process.returncode == 0:
            self.behind, self.gallery = False, ""
        if code is not None:
            assert process.returncode == code, f"exit {process.returncode}, not {code}; printed:\n{printed}"
        return printed

    def facts(self, *arguments: str) -> Json:
        return cast("Json", json.loads(self.run(*arguments, "--json")))

    def shell(self, script: str, *, code: int | None = 0) -> str:
        """Runs a shell script as a user would after `eval "$(skyfleet env)"`."""
        exports = self.run("env")
        done = subprocess.run(
            ["bash", "-c", f"{exports}\n{script}"],
            cwd=self.root,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=280,
            check=False,
        )
        if code is not None:
            assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    @property
    def emulator(self) -> Json:
        return cast("Json", json.loads((self.root / ".skyfleet" / "emulator.json").read_text()))

    @property
    def url(self) -> str:
        """Address of the first router, as `skyfleet outputs` prints it; kept until the next deployment."""
        self._url = self._url or str(self.facts("outputs")["routerUrl"]).rstrip("/")
        return self._url

    def admin(self, method: str, path: str, body: Json | None = None) -> requests.Response:
        """One request to the emulator's admin API."""
        note = self.emulator
        headers = {"authorization": f"Bearer {note['token']}"}
        return requests.request(method, f"{note['admin']}{path}", json=body, headers=headers, timeout=30)

    def set_minute(self, seconds: float) -> None:
        """Change how long an emulated minute lasts, up to the next deployment."""
        assert self.admin("PUT", "/v1/settings", {"minute_s": seconds}).ok

    def inject(self, cloud: str, fault: str) -> None:
        """Begin a fault at once: `skyfleet chaos` starts a process first."""
        assert self.admin("POST", "/v1/faults", {"cloud": cloud, "fault": fault}).ok

    def roots(self) -> dict[str, str]:
        """The stack's root keys by id, as only its operator can read them."""
        exported = json.loads(self.shell("pulumi stack export --show-secrets 2>/dev/null"))
        resources: list[Json] = exported["deployment"]["resources"]
        return {
            str(resource["urn"]).rpartition("::root-key-")[2]: str(
                json.loads(resource["outputs"]["result"]["plaintext"])
            )
            for resource in resources
            if "::root-key-" in resource["urn"]
        }

    def heal(self) -> None:
        """End every fault."""
        for cloud in ("aws", "azure", "gcp"):
            assert self.admin("DELETE", f"/v1/faults?cloud={cloud}").ok

    def stop(self) -> None:
        """End the emulator and all instances; the folder is of no use afterwards."""
        try:
            pid = int(self.emulator["pid"])
        except FileNotFoundError:
            return
        os.kill(pid, signal.SIGTERM)
        end = time.monotonic() + 30
        while Path(f"/proc/{pid}").exists():
            assert time.monotonic() < end, "the emulator did not end"
            time.sleep(0.05)

    def states(self) -> dict[str, str]:
        """Cloud -> state as the first router reports it; `skyfleet status` shows the same."""
        reply = requests.get(f"{self.url}/api/status", timeout=30)
        return {str(t["cloud"]): str(t["state"]) for t in reply.json()["targets"]}

    def wait_for(self, wanted: Callable[[dict[str, str]], bool], *, seconds: float = 60) -> dict[str, str]:
        """Polls `status` until the targets' states are as wanted; fails with the last states seen."""
        end = time.monotonic() + seconds
        states = self.states()
        while not wanted(states):
            assert time.monotonic() < end, f"targets never got there; last: {states}"
            time.sleep(0.2)
            states = self.states()
        return states

    def wait_until_healthy(self, *, seconds: float = 90) -> None:
        self.wait_for(lambda states: set(states.values()) <= {"healthy", "unknown"}, seconds=seconds)


def _processes() -> dict[int, tuple[int, list[str]]]:
    """Every process: its parent and its command line, read from /proc."""
    found: dict[int, tuple[int, list[str]]] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            command = (entry / "cmdline").read_text().rstrip("\0").split("\0")
        except OSError:
            continue
        found[int(entry.name)] = (int(fields[1]), command)
    return found


def wait_for_descendant(pid: int, name: str, argument: str, *, seconds: float) -> int:
    """The pid of the first `name argument ...` below the process `pid`, waiting for it to appear."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        processes = _processes()
        for child, (parent, command) in processes.items():
            fits = Path(command[0]).name == name and argument in command
            above = parent
            while fits and above > 1:
                if above == pid:
                    return child
                above = processes.get(above, (0, []))[0]
        time.sleep(0.05)
    raise AssertionError(f"no process `{name} {argument}` appeared below {pid}")


async def _call(session: aiohttp.ClientSession, url: str, body: Json) -> Call:
    began = time.monotonic()
    try:
        async with session.post(url, json=body) as reply:
            await reply.read()
            return Call(reply.status, dict(reply.headers), time.monotonic() - began)
    except (aiohttp.ClientError, TimeoutError) as problem:
        return Call(0, {}, time.monotonic() - began, repr(problem))


async def steady(
    url: str,
    *,
    rate: float,
    seconds: float,
    events: Mapping[float, Callable[[], object]] | None = None,
) -> list[Call]:
    """Open-loop load: `rate` calls a second for `seconds`; `events` (second -> action) run beside it."""
    body: Json = {"input": "what is 12 * (3 + 4)?"}
    timeout = aiohttp.ClientTimeout(total=30)
    connector = aiohttp.TCPConnector(limit=0)
    loop = asyncio.get_running_loop()
    async with aiohttp.ClientSession(timeout=timeout, connector=connector) as session:
        began = loop.time()
        tasks: list[asyncio.Task[Call]] = []
        actions: list[asyncio.Future[object]] = []
        pending = sorted((events or {}).items())
        for number in range(int(rate * seconds)):
            due = began + number / rate
            await asyncio.sleep(max(0.0, due - loop.time()))
            while pending and loop.time() - began >= pending[0][0]:
                actions.append(loop.run_in_executor(None, pending.pop(0)[1]))
            tasks.append(asyncio.create_task(_call(session, f"{url}/invoke", body)))
        await asyncio.gather(*actions)
        return list(await asyncio.gather(*tasks))


async def closed_loop(url: str, *, calls: int, clients: int) -> list[Call]:
    """`calls` calls by `clients`, each of which waits for a reply before its next call.

    A loaded machine makes it slower, but never brings more calls at once than the emulated limits allow.
    """
    body: Json = {"input": "what is 12 * (3 + 4)?"}
    numbers = iter(range(calls))
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session:

        async def client() -> list[Call]:
            return [await _call(session, f"{url}/invoke", body) for _ in numbers]

        return [call for made in await asyncio.gather(*(client() for _ in range(clients))) for call in made]


def failures(calls: list[Call]) -> list[str]:
    return [f"{call.status} {call.problem}" for call in calls if call.status != 200]


def clouds(calls: list[Call]) -> Counter[str]:
    return Counter(call.cloud for call in calls)
