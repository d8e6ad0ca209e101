"""`make lock`: write every file of locks/ anew from what the rooms ask for.

What a package carries is listed by kind (agent, router) and by cloud; each lock is universal and
hash-pinned and names no address, so it serves on any machine. A lock is replaced only after uv has finished
it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from infra.setup.errors import Unavailable
from infra.setup.extras import azurite
from infra.setup.pip_settings import read_configs, uv_environment
from infra.setup.progress import Console
from infra.setup.subprocess_step import run_step
from infra.setup.venv import NETWORK_ADVICE, Venv

# The project's own least Python: locks hold on it and on everything newer.
LEAST_PYTHON = "3.11"
# The Azure Functions worker library itself asks for this one.
AZURE_PLATFORM_PYTHON = "3.13"
CLOUDS = ("aws", "azure", "gcp")


@dataclass(frozen=True, slots=True)
class Lock:
    """One file of locks/: what uv compiles into it."""

    name: str
    sources: tuple[str, ...]
    python: str = LEAST_PYTHON
    groups: tuple[str, ...] = ()


def all_locks() -> tuple[Lock, ...]:
    """Every lock of the repository."""
    kinds = (("agent", "functions/requirements.in"), ("router", "router/requirements.in"))
    packages = tuple(
        Lock(f"{kind}-{cloud}.txt", (asked, f"functions/runtimes/{cloud}.in"))
        for kind, asked in kinds
        for cloud in CLOUDS
    )
    platform = Lock(
        "emulator-azure.txt",
        ("emulator/runtime/azure/requirements.in", "functions/runtimes/azure.in"),
        AZURE_PLATFORM_PYTHON,
    )
    plots = Lock("bench.txt", ("bench/requirements.in",))
    framework = Lock("bench-router.txt", ("bench/router/requirements.in",))
    litellm = Lock("bench-litellm.txt", ("bench/failover/peers/litellm.in",))
    project = Lock("project.txt", ("pyproject.toml",), groups=("dev",))
    return (*packages, platform, plots, framework, litellm, project)


def arguments(lock: Lock, output: Path) -> list[str]:
    """What uv is asked; paths in `lock.sources` are relative to the checkout."""
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
        "-o",
        str(output),
    ]


def write_all(venv: Venv, environ: Mapping[str, str], console: Console, *, upgrade: bool) -> list[str]:
    """Compile all locks and return the names of those that changed. `upgrade`: newer versions, not only
    what is new.
    """
    told = {**environ, **uv_environment(environ, read_configs(environ)), "UV_NO_PROGRESS": "1"}
    changed: list[str] = []
    for lock in all_locks():
        final = venv.root / "locks" / lock.name
        before = final.read_text() if final.exists() else ""
        fresh = final.with_suffix(".new")
        fresh.write_text(before)  # uv keeps the versions it finds in its output file
        try:
            asked = [*arguments(lock, fresh), *(["--upgrade"] if upgrade else [])]
            run_step(
                [venv.uv, *asked, "--quiet"],
                title=f"lock: {lock.name}",
                console=console,
                environ=told,
                cwd=venv.root,
                advice=NETWORK_ADVICE,
            )
            if fresh.read_text() != before:
                fresh.replace(final)
                changed.append(lock.name)
        finally:
            fresh.unlink(missing_ok=True)
    return changed + _npm_lock(venv.root, environ, console, upgrade=upgrade)


def _npm_lock(root: Path, environ: Mapping[str, str], console: Console, *, upgrade: bool) -> list[str]:
    """The lock of what npm installs for tests; it stays as it is where there is no npm."""
    final = root / "locks" / azurite.LOCK.name
    before = final.read_text() if final.exists() else ""
    with tempfile.TemporaryDirectory() as folder:
        if before and not upgrade:  # npm keeps the versions it finds
            (Path(folder) / "package-lock.json").write_text(before)
        try:
            fresh = azurite.write_lock(Path(folder), environ, console)
        except Unavailable as missing:
            console.line(f"lock: {final.name} stays as it is: {missing}")
            return []
    if fresh == before:
        return []
    final.write_text(fresh)
    return [final.name]
