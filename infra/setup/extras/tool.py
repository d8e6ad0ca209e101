"""A tool that is built once per user, in the cache, and renamed when it is complete.

The name of its folder has all that decides the content, so a new version gets a new folder. A tool that
cannot be built on this machine raises Unavailable with the remedy. `cached` never builds.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from infra.setup.errors import StepFailed, Unavailable
from infra.setup.file_lock import exclusive
from infra.setup.paths import cache_folder
from infra.setup.progress import Console

UNFINISHED = ".unfinished-"


@dataclass(frozen=True, slots=True)
class Tool:
    """One tool.

    name: for messages, and its folder in the cache. identity: a hash of what decides its content. program:
    the executable in its folder. make: builds it in an empty folder; raises Unavailable or StepFailed.
    """

    name: str
    identity: str
    program: str
    make: Callable[[Path, Mapping[str, str], Console], None]

    def folder(self, environ: Mapping[str, str]) -> Path:
        return cache_folder(environ) / self.name / self.identity

    def cached(self, environ: Mapping[str, str]) -> Path | None:
        """The program, None if it was not built."""
        program = self.folder(environ) / self.program
        return program if program.is_file() else None

    def ensure(self, environ: Mapping[str, str], console: Console) -> Path:
        """The program, which is built if it is missing. Raises Unavailable or StepFailed."""
        if (found := self.cached(environ)) is not None:
            return found
        final = self.folder(environ)
        final.parent.mkdir(parents=True, exist_ok=True)
        waiting = f"{self.name}: another process is making it: waiting for it"
        with exclusive(final.parent, lambda: console.line(waiting)):
            return self.cached(environ) or self._make(final, environ, console)

    def _make(self, final: Path, environ: Mapping[str, str], console: Console) -> Path:
        for left in final.parent.glob(f"{UNFINISHED}*"):  # of a killed run; the lock is ours
            shutil.rmtree(left, ignore_errors=True)
        folder = final.parent / f"{UNFINISHED}{os.getpid()}"
        folder.mkdir()
        try:
            self.make(folder, environ, console)
            if not (folder / self.program).is_file():
                raise StepFailed(f"{self.name}: its installation ended well but {self.program} is not there")
            shutil.rmtree(final, ignore_errors=True)  # one without its program
            folder.rename(final)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        console.line(f"{self.name}: ready in {final}")
        return final / self.program


def need(program: str, environ: Mapping[str, str], usual: Path, remedy: str) -> str:
    """The path of `program`: on PATH, else the usual path. Raises Unavailable."""
    found = shutil.which(program, path=environ.get("PATH", os.defpath))
    if found is None and os.access(usual, os.X_OK):
        return str(usual)
    if found is None:
        raise Unavailable(f"no {program} on PATH: {remedy}")
    return found
