"""Dependencies of a package, installed from its lock for the platform it will run on, from any machine.

Each lock is installed once per user and target: a folder under its final name is whole, because it is
filled under another name and renamed at the end.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from infra.errors import PackageError
from infra.packaging.tools import Tools
from infra.setup import cloud_wheels
from infra.setup.file_lock import exclusive

INSTALL_LIMIT_S = 600  # a slow line and a hundred megabytes
LAST_LINES = 12
# Written by installers about the place and time of an install: neither needed nor the same anywhere.
NOT_SHIPPED = (
    "bin",
    ".lock",
    "*.dist-info/RECORD",
    "*.dist-info/INSTALLER",
    "*.dist-info/REQUESTED",
    "*.dist-info/direct_url.json",
    "*.dist-info/uv_cache.json",
)


@dataclass(frozen=True, slots=True)
class Target:
    """Where an install will run; `platform` None is this machine."""

    python: str
    platform: str | None


# What `make lock` has checked the pins for.
CLOUD_TARGET = Target(cloud_wheels.PYTHON, cloud_wheels.PLATFORM)
NO_WHEEL = re.compile(r"Because (\S+)==(\S+) has no (?:usable )?wheels")


def install(lock: bytes, target: Target, tools: Tools, progress: Callable[[str], None]) -> Path:
    """Folder with what `lock` pins, to be put on an import path or into a zip."""
    compiled = "pyc" if tools.compiles else "plain"
    key = hashlib.sha256(lock + f"\n{target} {compiled}".encode()).hexdigest()[:24]
    folder = tools.cache / "site-packages" / f"py{target.python}-{key}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    if folder.is_dir():
        return folder
    with exclusive(folder.parent, lambda: progress("waiting for another install of dependencies")):
        if not folder.is_dir():
            progress(f"installing dependencies for Python {target.python}")
            _fill(folder, lock, target, tools)
    return folder


def _fill(folder: Path, lock: bytes, target: Target, tools: Tools) -> None:
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as draft:
        requirements, site = Path(draft, "requirements.txt"), Path(draft, "site")
        requirements.write_bytes(lock)
        site.mkdir()
        if any(line[:1].isalnum() for line in lock.decode().splitlines()):
            _run_uv(requirements, site, target, tools)
        for pattern in NOT_SHIPPED:
            for path in site.glob(pattern):
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        tools.compile_tree(site)
        site.rename(folder)


def _run_uv(requirements: Path, site: Path, target: Target, tools: Tools) -> None:
    platform = () if target.platform is None else ("--python-platform", target.platform)
    command = [
        str(tools.uv),
        *("pip", "install", "--quiet", "--no-progress", "--no-deps", "--require-hashes"),
        *("--only-binary", ":all:", "--link-mode", "copy", "--python", str(tools.own_python)),
        *("--python-version", target.python, *platform),
        *("--target", str(site), "--requirements", str(requirements)),
    ]
    try:
        done = subprocess.run(
            command,
            env=dict(tools.environ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=INSTALL_LIMIT_S,
            check=False,
        )
    except FileNotFoundError:
        raise PackageError(f"There is no uv at {tools.uv}; `make up` sets the project up.") from None
    except subprocess.TimeoutExpired:
        raise PackageError(
            f"uv installed no dependencies within {INSTALL_LIMIT_S} s; check the network and run it again."
        ) from None
    if done.returncode != 0:
        printed = (done.stderr or done.stdout).strip()
        if missing := NO_WHEEL.search(" ".join(printed.split())):
            raise PackageError(_no_wheel(missing[1], missing[2], target))
        said = "\n".join(printed.splitlines()[-LAST_LINES:])
        raise PackageError(
            f"uv could not install the dependencies of a package for Python {target.python} (exit "
            f"{done.returncode}). Its last lines:\n{said}\nCheck the network and the disk, or run "
            "`make lock`."
        )


def _no_wheel(name: str, version: str, target: Target) -> str:
    where = f"Python {target.python} on this machine" if target.platform is None else cloud_wheels.DESCRIPTION
    return (
        f"{name} {version}, which a lock pins, has no wheel for {where}. `make lock` names the newest "
        "version that has one for the clouds; nothing was changed."
    )
