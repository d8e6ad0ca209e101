"""The programs a build uses: uv from the project's own environment, and a Python 3.13 when one is found.

The Python is looked for at its first use. Candidates are executed, which takes 0.15 s with pyenv's shims, and
a deployment that builds nothing needs none.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from infra.packaging.interpreter import Interpreter, candidates, find
from infra.packaging.sources import File
from infra.setup.paths import cache_folder

# What sets would be written in, were it not for this: compiled files shall not differ from run to run.
STABLE = {"PYTHONHASHSEED": "0"}


@dataclass(frozen=True, slots=True)
class Tools:
    """uv; own_python: the one running this; cache: per user; find_python: see `python`."""

    uv: Path
    own_python: Path
    cache: Path
    environ: Mapping[str, str] = field(repr=False)
    find_python: Callable[[], Interpreter] = field(repr=False)

    @classmethod
    def find(cls, own_python: Path, environ: Mapping[str, str]) -> Tools:
        """uv stands beside the interpreter of the environment it was installed into."""
        uv = own_python.with_name("uv")
        places = candidates(environ, Path.home(), uv if uv.is_file() else None)
        return cls(uv, own_python, cache_folder(environ), environ, cache(lambda: find(own_python, places)))

    @property
    def python(self) -> Interpreter:
        """A 3.13, else own_python."""
        return self.find_python()

    @property
    def compiles(self) -> bool:
        """Only what a 3.13 compiled can be used in the clouds."""
        return self.python.is_target

    def compile_tree(self, folder: Path) -> None:
        """Puts compiled files beside the sources, never checked against them: in a package neither changes.

        A file that does not compile (a template, say) is left out; importing it raises the error.
        """
        if not self.compiles:
            return
        subprocess.run(
            [
                str(self.python.path),
                *("-I", "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash"),
                *("-s", str(folder), str(folder)),
            ],
            env={**self.environ, **STABLE},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
        )

    def compiled(self, files: Iterable[File]) -> list[File]:
        """Compiled files for those of `files` that are Python modules."""
        if not self.compiles:
            return []
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            unpack([file for file in files if file.name.endswith(".py")], root)
            self.compile_tree(root)
            return [
                File(path.relative_to(root).as_posix(), path.read_bytes())
                for path in sorted(root.rglob("*.pyc"))
            ]


def unpack(files: Iterable[File], root: Path) -> None:
    """Writes files below `root` as they lie in a package."""
    for file in files:
        path = root / file.name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(file.content)
