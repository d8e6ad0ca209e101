"""`make lock`: compile every file of locks/ from its requirements.

The dependencies of a package are listed by kind (agent, router) and by cloud. Each lock is universal,
hash-pinned and free of addresses, so it works on any machine. A lock is replaced only after uv has completed
it, and a package's only if all that it pins has wheels for the clouds (infra/setup/cloud_wheels.py).
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from infra.setup import cloud_wheels
from infra.setup.errors import Unavailable
from infra.setup.extras import azurite, openai_node
from infra.setup.extras.npm import NpmPackage
from infra.setup.pip_settings import read_configs, uv_environment
from infra.setup.progress import Console
from infra.setup.subprocess_step import run_step
from infra.setup.venv import NETWORK_ADVICE

# The minimum Python of the project: locks are valid for it and for newer versions.
MIN_PYTHON = "3.11"
# The Azure Functions worker library requires this one.
AZURE_PLATFORM_PYTHON = "3.13"
CLOUDS = ("aws", "azure", "gcp")


@dataclass(frozen=True, slots=True)
class Lock:
    """One file of locks/ and the requirements that uv compiles into it.

    deployed: a package's. alone: without the dependencies of what is required.
    """

    name: str
    sources: tuple[str, ...]
    python: str = MIN_PYTHON
    groups: tuple[str, ...] = ()
    deployed: bool = False
    alone: bool = False


def all_locks() -> tuple[Lock, ...]:
    """Every lock of the repository."""
    kinds = (("agent", "functions/requirements.in"), ("router", "router/requirements.in"))
    # WebSockets end at routers, and only Google's platform carries them.
    further = {("router", "gcp"): ("router/gcp.in",)}
    packages = tuple(
        Lock(
            f"{kind}-{cloud}.txt",
            (requirements, f"functions/runtimes/{cloud}.in", *further.get((kind, cloud), ())),
            deployed=True,
        )
        for kind, requirements in kinds
        for cloud in CLOUDS
    )
    platform = Lock(
        "emulator-azure.txt",
        ("emulator/runtime/azure/requirements.in", "functions/runtimes/azure.in"),
        AZURE_PLATFORM_PYTHON,
    )
    plots = Lock("bench.txt", ("bench/requirements.in",))
    framework = Lock("bench-router.txt", ("bench/router/requirements.in",))
    fuzz = Lock("bench-fuzz.txt", ("bench/http/fuzz/requirements.in",))
    litellm = Lock("bench-litellm.txt", ("bench/failover/peers/litellm.in",))
    # htmx comes in the wheel of django-htmx, of which nothing else is used: Django is left out.
    page = Lock("page.txt", ("infra/manager/page/requirements.in",), alone=True)
    project = Lock("project.txt", ("pyproject.toml",), groups=("dev",))
    return (*packages, platform, plots, framework, fuzz, litellm, page, project)


def arguments(lock: Lock, output: Path) -> list[str]:
    """The arguments of uv; paths in `lock.sources` are relative to the checkout."""
    groups = [part for group in lock.groups for part in ("--group", group)]
    pinned = ["--universal", "--generate-hashes", "--no-header", "--no-annotate"]
    return [
        "pip",
        "compile",
        *lock.sources,
        *groups,
        "--python-version",
        lock.python,
        *pinned,
        *(["--no-deps"] if lock.alone else []),
        "-o",
        str(output),
    ]


def _advice(lock: Lock) -> str:
    """What to do when uv cannot compile it."""
    files = " or ".join(lock.sources)
    return f"If uv names a requirement, correct it in {files}. Otherwise: {NETWORK_ADVICE}"


def write_all(root: Path, environ: Mapping[str, str], console: Console, *, upgrade: bool) -> list[str]:
    """Compile all locks and return the names of those that changed.

    upgrade: also take newer versions of packages that are locked already.
    """
    uv_environ = {**environ, **uv_environment(environ, read_configs(environ)), "UV_NO_PROGRESS": "1"}
    uv = root / ".venv" / "bin" / "uv"
    wheels = cloud_wheels.runner(uv, uv.with_name("python"), uv_environ)
    changed: list[str] = []
    for lock in all_locks():
        final = root / "locks" / lock.name
        before = final.read_text() if final.exists() else ""
        fresh = final.with_suffix(".new")
        fresh.write_text(before)  # uv keeps the versions it finds in its output file
        try:
            command = [*arguments(lock, fresh), *(["--upgrade"] if upgrade else [])]
            run_step(
                [uv, *command, "--quiet"],
                title=f"lock: {lock.name}",
                console=console,
                environ=uv_environ,
                cwd=root,
                advice=_advice(lock),
            )
            if lock.deployed:
                cloud_wheels.require(fresh.read_text(), lock.name, lock.sources[0], wheels)
            if fresh.read_text() != before:
                fresh.replace(final)
                changed.append(lock.name)
        finally:
            fresh.unlink(missing_ok=True)
    for package in (azurite.PACKAGE, openai_node.PACKAGE):
        changed += _npm_lock(package, root, environ, console, upgrade=upgrade)
    return changed


def _npm_lock(
    package: NpmPackage, root: Path, environ: Mapping[str, str], console: Console, *, upgrade: bool
) -> list[str]:
    """The lock of a package that npm installs for tests; unchanged if there is no npm."""
    final = root / "locks" / package.lock.name
    before = final.read_text() if final.exists() else ""
    with tempfile.TemporaryDirectory() as folder:
        if before and not upgrade:  # npm keeps the versions it finds
            (Path(folder) / "package-lock.json").write_text(before)
        try:
            fresh = package.write_lock(Path(folder), environ, console)
        except Unavailable as missing:
            console.line(f"lock: {final.name} is unchanged: {missing}")
            return []
    if fresh == before:
        return []
    final.write_text(fresh)
    return [final.name]
