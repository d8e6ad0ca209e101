"""Programs from Debian packages, unpacked in the cache, without root and without a service.

Rules
- A program on PATH is preferred.
- apt-get downloads the named packages and verifies their signatures. Without apt-get, or with libraries that
  do not fit, the program is absent.
- A folder without its stamp is unpacked again, so an interrupted download has no effect.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.failover.peers.base import Absent, Bench
from infra.setup.errors import StepFailed
from infra.setup.subprocess_step import run_step

_STAMP: Final = "unpacked"


@dataclass(frozen=True, slots=True)
class Program:
    """A program. path: of the file. libraries: value of LD_LIBRARY_PATH, empty if none is needed."""

    path: str
    libraries: str = ""

    @property
    def environ(self) -> dict[str, str]:
        return {"LD_LIBRARY_PATH": self.libraries} if self.libraries else {}

    def output(self, *arguments: str) -> str:
        """Its output with these arguments. Raises Absent when it does not run."""
        try:
            done = subprocess.run(
                [self.path, *arguments],
                env={**os.environ, **self.environ},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=20,
                check=True,
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise Absent(f"{self.path} does not run: {error}") from None
        return (done.stdout + done.stderr).strip()


def program(bench: Bench, name: str, inside: str, packages: Sequence[str]) -> Program:
    """The program `name` on PATH, else at the path `inside` of the unpacked `packages`. Raises Absent."""
    if found := shutil.which(name, path=bench.environ.get("PATH")):
        return Program(found)
    folder = bench.cache / "bench" / name
    if not (folder / _STAMP).is_file():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        _fetch(bench, name, packages, folder)
        (folder / _STAMP).write_text("\n".join(packages) + "\n")
    libraries = sorted({str(path.parent) for path in folder.glob("usr/lib/*/*.so*")})
    return Program(str(folder / inside), ":".join(libraries))


def _fetch(bench: Bench, name: str, packages: Sequence[str], folder: Path) -> None:
    for tool in ("apt-get", "dpkg-deb"):
        if shutil.which(tool) is None:
            raise Absent(f"{name} is not on PATH, and there is no {tool} to fetch it with")
    try:
        _download(bench, name, packages, folder)
        for package in sorted(folder.glob("*.deb")):
            _run(bench, ["dpkg-deb", "-x", package, folder], f"bench: {package.stem}", folder)
            package.unlink()
    except StepFailed as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise Absent(f"{name} is not on PATH and cannot be fetched: {error}") from None


def _download(bench: Bench, name: str, packages: Sequence[str], folder: Path) -> None:
    title = f"bench: {name}"
    try:
        _run(bench, ["apt-get", "download", *packages], title, folder)
    except StepFailed:
        # Without package lists of the system, lists are downloaded into this folder, which needs no root.
        state = folder / "apt"
        (state / "lists" / "partial").mkdir(parents=True)
        own = ["-o", f"Dir::State::lists={state / 'lists'}", "-o", f"Dir::Cache={state}"]
        _run(bench, ["apt-get", *own, "update"], f"{title}: package lists", folder)
        _run(bench, ["apt-get", *own, "download", *packages], title, folder)
        shutil.rmtree(state, ignore_errors=True)


def _run(bench: Bench, argv: Sequence[str | Path], title: str, folder: Path) -> None:
    run_step(argv, title=title, console=bench.console, environ=bench.environ, cwd=folder)
