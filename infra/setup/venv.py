"""The checkout's virtual environment: what the lock says, nothing else, or it is made again.

A virtual environment cannot be moved, so it is made in place and a stamp is written last. No stamp (an
interrupted set-up, a copied folder) means: make it again from nothing. A stamp of another lock means: take
the stamp away, bring the packages in line, write it again. The project itself is not built or installed:
one `.pth` line makes the checkout importable and a small launcher is the `skyfleet` command.
"""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from infra.setup import read_lock
from infra.setup.errors import SetupError
from infra.setup.file_lock import exclusive
from infra.setup.pip_settings import read_configs, uv_environment
from infra.setup.progress import Console
from infra.setup.subprocess_step import run_step

# Raise it when the launcher or the way of making the environment changes: every checkout is then brought in
# line.
RECIPE = 1

NETWORK_ADVICE = (
    "Check the network (pip's own settings PIP_INDEX_URL, PIP_CERT, PIP_PROXY and pip.conf are honoured), "
    "then run the same command again: it goes on from here."
)


@dataclass(frozen=True, slots=True)
class Venv:
    """Paths of one checkout's environment."""

    root: Path

    @property
    def folder(self) -> Path:
        return self.root / ".venv"

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    @property
    def uv(self) -> Path:
        return self.folder / "bin" / "uv"

    @property
    def launcher(self) -> Path:
        return self.folder / "bin" / "skyfleet"

    @property
    def stamp(self) -> Path:
        return self.folder / "skyfleet.json"

    @property
    def lock(self) -> Path:
        return self.root / "locks" / "project.txt"


def wanted_stamp(root: Path, lock_text: str, python: str) -> dict[str, object]:
    """What the stamp of a finished environment says. `python`: its own version, such as 3.11."""
    return {"recipe": RECIPE, "root": str(root), "lock": read_lock.identity(lock_text), "python": python}


def read_stamp(venv: Venv) -> dict[str, object] | None:
    """The stamp, or None when there is none that can be read."""
    try:
        found: object = json.loads(venv.stamp.read_text())
    except (OSError, ValueError):
        return None
    return cast("dict[str, object]", found) if isinstance(found, dict) else None


def is_ready(venv: Venv, python: str) -> bool:
    """True when nothing is to be done; to be asked by the environment's own interpreter of version
    `python`.
    """
    if not venv.launcher.exists():
        return False
    return read_stamp(venv) == wanted_stamp(venv.root, read_lock.read(venv.lock), python)


def ensure(venv: Venv, environ: Mapping[str, str], console: Console, maker: str | None = None) -> bool:
    """Make the environment right; False when it already was. Safe to interrupt, to repeat and to run twice
    at once.
    """
    if _own_word(venv, environ):
        return False
    with exclusive(
        venv.root, lambda: console.line("another set-up of this checkout is running: waiting for it")
    ):
        if _own_word(venv, environ):
            return False
        text = read_lock.read(venv.lock)
        stamp = read_stamp(venv)
        venv.stamp.unlink(missing_ok=True)
        if not _can_be_mended(venv, stamp, environ):
            _create(venv, text, environ, console, maker or _own_maker())
        _synchronise(venv, environ, console)
        _finish(venv, text)
    return True


def creator(prefix: str, base_prefix: str, executable: str, version: str) -> str:
    """The interpreter to make an environment with: never the one inside the environment that is replaced."""
    base = Path(base_prefix) / "bin" / f"python{version}"
    return str(base) if prefix != base_prefix and base.exists() else executable


def launcher_text(python: Path) -> str:
    """The `skyfleet` command. -P: a module in the caller's folder must not shadow ours."""
    return f'#!/bin/sh\nexec {shlex.quote(str(python))} -P -m infra.cli "$@"\n'


def _own_word(venv: Venv, environ: Mapping[str, str]) -> bool:
    """Ask the environment's own interpreter: one that no longer starts cannot say yes."""
    try:
        asked = subprocess.run(
            [str(venv.python), "-S", "-m", "infra.setup", "ready"],
            cwd=venv.root,
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
    except OSError:
        return False
    return asked.returncode == 0


def _can_be_mended(venv: Venv, stamp: dict[str, object] | None, environ: Mapping[str, str]) -> bool:
    """A finished environment of this very folder whose uv still runs needs only other packages."""
    if stamp is None or stamp.get("root") != str(venv.root):
        return False
    try:
        said = subprocess.run(
            [str(venv.uv), "--version"],
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
        ran = subprocess.run([str(venv.python), "-c", "pass"], stdin=subprocess.DEVNULL, check=False)
    except OSError:
        return False
    return said.returncode == 0 and ran.returncode == 0


def _own_maker() -> str:
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    return creator(sys.prefix, sys.base_prefix, sys.executable, version)


def _create(venv: Venv, lock_text: str, environ: Mapping[str, str], console: Console, maker: str) -> None:
    if venv.folder.is_symlink() or venv.folder.is_file():
        venv.folder.unlink()
    elif venv.folder.exists():
        shutil.rmtree(venv.folder)
    run_step(
        [maker, "-m", "venv", venv.folder],
        title="set-up: virtual environment",
        console=console,
        environ=environ,
        advice="On Debian and Ubuntu python3-venv is needed; PYTHON=/path/to/python3 names another one.",
    )
    with tempfile.NamedTemporaryFile("w", suffix=".txt", prefix="skyfleet-uv-") as requirement:
        requirement.write(read_lock.entry(lock_text, "uv"))
        requirement.flush()
        pip: list[str | Path] = [venv.python, "-m", "pip", "install", "--quiet", "--no-input", "--no-deps"]
        run_step(
            [*pip, "--require-hashes", "--disable-pip-version-check", "-r", requirement.name],
            title="set-up: uv",
            console=console,
            environ=environ,
            advice=NETWORK_ADVICE,
        )


def _synchronise(venv: Venv, environ: Mapping[str, str], console: Console) -> None:
    run_step(
        [venv.uv, "pip", "sync", "--quiet", "--require-hashes", "--python", venv.python, venv.lock],
        title="set-up: packages of locks/project.txt",
        console=console,
        environ={**environ, **uv_environment(environ, read_configs(environ)), "UV_NO_PROGRESS": "1"},
        cwd=venv.root,
        advice=NETWORK_ADVICE,
    )


def _finish(venv: Venv, lock_text: str) -> None:
    """Make the checkout importable, write the command, and the stamp as the very last thing."""
    packages = sorted(venv.folder.glob("lib/python3.*/site-packages"))
    if len(packages) != 1:
        raise SetupError(
            f"{venv.folder} has {len(packages)} site-packages folders, expected one: remove it, run again."
        )
    (packages[0] / "skyfleet.pth").write_text(f"{venv.root}\n")
    venv.launcher.write_text(launcher_text(venv.python))
    venv.launcher.chmod(0o755)
    version = packages[0].parent.name.removeprefix("python")
    fresh = venv.stamp.with_suffix(".new")
    fresh.write_text(json.dumps(wanted_stamp(venv.root, lock_text, version), indent=1) + "\n")
    fresh.replace(venv.stamp)
