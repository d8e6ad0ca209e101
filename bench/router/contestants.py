"""The routers of `make bench-router`: how each is installed and started, one process on one core.

Rules
- Every one gets the same three targets, keeps its connections to them, passes streams as they come and
  writes no access log.
- This router runs on Python 3.13, as in the clouds, with what its package carries (locks/router-*.txt): on
  the server that functions/runtimes/aws.py starts, and in functions-framework as Google starts it. Without a
  3.13 on this machine the project's own Python stands in, and the document says so.
- A contestant that cannot be had here is left out, with the reason.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from bench import environments
from bench.failover.peers import litellm
from bench.failover.peers.base import Absent, Bench, Ground
from bench.failover.peers.debian import Program, program
from bench.failover.peers.haproxy import LIBRARIES
from bench.router.configs import haproxy_config, nginx_config
from bench.router.shapes import router_environ
from infra.packaging.interpreter import Interpreter
from infra.packaging.tools import Tools
from infra.setup.errors import StepFailed
from infra.setup.subprocess_step import run_step

NGINX, NGINX_TLS, AWS, AWS_TLS, GOOGLE = (
    "nginx",
    "nginx-tls",
    "skyfleet-aws",
    "skyfleet-aws-tls",
    "skyfleet-google",
)
BARE, FRAMEWORK, HAPROXY, GO, LITELLM = "bare-asgi", "framework-requests", "haproxy", "go", "litellm"


@dataclass(frozen=True, slots=True)
class Site:
    """Where a contestant runs. port: its own. targets: plain ports. tls: targets' ports with TLS, for
    `localhost`. certificate: what signs for them."""

    folder: Path
    port: int
    targets: tuple[int, ...]
    tls: tuple[int, ...]
    certificate: Path


@dataclass(frozen=True, slots=True)
class Start:
    """What to run."""

    argv: tuple[str, ...]
    environ: Mapping[str, str] = field(default_factory=dict[str, str])
    cwd: Path | None = None


@dataclass(frozen=True, slots=True)
class Installed:
    """A contestant that can be started. version: in its own words."""

    version: str
    start: Callable[[Site], Start]


@dataclass(frozen=True, slots=True)
class Contestant:
    """One line of the table. on_demand: only when it is named. streams: the event
    streams too; a proxy that never notices a leaving caller cannot, since its targets would send for ever."""

    name: str
    install: Callable[[Bench], Installed]
    on_demand: bool = False
    streams: bool = False


def python(bench: Bench) -> Interpreter:
    """A 3.13 when there is one."""
    return Tools.find(Path(sys.executable), bench.environ).python


def environment(bench: Bench, lock: str) -> Path:
    """The interpreter of an environment with what this lock says."""
    of = python(bench)
    folder = bench.cache / "bench" / f"{lock}-{of.minor}"
    try:
        return environments.ensure(
            folder, bench.root / "locks" / f"{lock}.txt", bench.environ, bench.console, of.path
        )
    except StepFailed as error:
        raise Absent(f"its packages cannot be installed: {error}") from None


def nginx(bench: Bench) -> Program:
    return program(bench, "nginx", "usr/sbin/nginx", ("nginx",))


def _nginx(bench: Bench, *, tls: bool) -> Installed:
    found = nginx(bench)

    def start(site: Site) -> Start:
        path = site.folder / "nginx.conf"
        path.write_text(
            nginx_config(
                site.folder, site.port, site.tls if tls else site.targets, site.certificate if tls else None
            )
        )
        return Start((found.path, "-p", str(site.folder), "-e", "stderr", "-c", str(path)), found.environ)

    return Installed(found.output("-v").removeprefix("nginx version: "), start)


def _haproxy(bench: Bench) -> Installed:
    found = program(bench, "haproxy", "usr/sbin/haproxy", ("haproxy", *LIBRARIES))

    def start(site: Site) -> Start:
        path = site.folder / "haproxy.cfg"
        path.write_text(haproxy_config(site.port, site.targets))
        return Start((found.path, "-db", "-f", str(path)), found.environ)

    return Installed(found.output("-v").splitlines()[0].split(" 20")[0], start)


def _aws(bench: Bench, *, tls: bool, app: str = "router.app:create") -> Installed:
    interpreter = environment(bench, "router-aws")

    def start(site: Site) -> Start:
        told = router_environ(site.tls if tls else site.targets, tls=tls)
        told |= {"SKYFLEET_APP": app, "PORT": str(site.port), "PYTHONPATH": str(bench.root)}
        if tls:
            told["SSL_CERT_FILE"] = str(site.certificate)
        return Start((str(interpreter), "-P", "-m", "functions.runtimes.aws"), told)

    return Installed(f"the project's server, Python {python(bench)}".split(" (")[0], start)


def _google(bench: Bench) -> Installed:
    interpreter = environment(bench, "router-gcp")

    def start(site: Site) -> Start:
        source = site.folder / "main.py"
        shutil.copy(bench.root / "functions" / "runtimes" / "entry" / "gcp" / "main.py", source)
        told = {
            **router_environ(site.targets),
            "PORT": str(site.port),
            "HOST": "127.0.0.1",
            "FUNCTION_TARGET": "main",
            "FUNCTION_SIGNATURE_TYPE": "http",
            "FUNCTION_SOURCE": str(source),
            "PYTHONPATH": str(bench.root),
        }
        return Start((str(interpreter), "-P", "-m", "functions_framework"), told, site.folder)

    return Installed(f"functions-framework, Python {python(bench)}".split(" (")[0], start)


def _framework(bench: Bench) -> Installed:
    interpreter = environment(bench, "bench-router")

    def start(site: Site) -> Start:
        source = site.folder / "main.py"
        shutil.copy(bench.root / "bench" / "router" / "framework.py", source)
        told = {
            **router_environ(site.targets),
            "PORT": str(site.port),
            "HOST": "127.0.0.1",
            "FUNCTION_TARGET": "main",
            "FUNCTION_SOURCE": str(source),
        }
        return Start((str(interpreter), "-P", "-m", "functions_framework"), told, site.folder)

    return Installed(f"functions-framework and requests, Python {python(bench)}".split(" (")[0], start)


def _go(bench: Bench) -> Installed:
    go = shutil.which("go", path=bench.environ.get("PATH"))
    if go is None:
        raise Absent("there is no go on PATH")
    source = bench.root / "bench" / "router" / "reverseproxy.go"
    binary = bench.cache / "bench" / "go-reverseproxy"
    try:
        run_step(
            [go, "build", "-o", binary, source],
            title="bench: go",
            console=bench.console,
            environ=bench.environ,
        )
        version = run_step(
            [go, "version"], title="bench: go version", console=bench.console, environ=bench.environ
        )
    except StepFailed as error:
        raise Absent(f"it cannot be built: {error}") from None

    def start(site: Site) -> Start:
        ports = [str(one) for one in (site.port, *site.targets)]
        return Start((str(binary), *ports), {"GOMAXPROCS": "1"})

    return Installed(version.split()[2], start)


def _litellm(bench: Bench) -> Installed:
    installed = litellm.ROUTER.install(bench)

    def start(site: Site) -> Start:
        (process,) = installed.plan(Ground(site.folder, (site.port,), site.targets)).instances
        return Start(process.argv, process.environ)

    return Installed(installed.version, start)


CONTESTANTS: Final[tuple[Contestant, ...]] = (
    Contestant(NGINX, lambda bench: _nginx(bench, tls=False), streams=True),
    Contestant(HAPROXY, _haproxy),
    Contestant(GO, _go),
    Contestant(BARE, lambda bench: _aws(bench, tls=False, app="bench.router.bare:create")),
    Contestant(AWS, lambda bench: _aws(bench, tls=False), streams=True),
    Contestant(GOOGLE, _google),
    Contestant(FRAMEWORK, _framework),
    Contestant(NGINX_TLS, lambda bench: _nginx(bench, tls=True)),
    Contestant(AWS_TLS, lambda bench: _aws(bench, tls=True)),
    Contestant(LITELLM, _litellm, on_demand=True),
)
