"""A script that loads the agent of an unpacked package, run in a child process under the clouds' Python.

Arguments: entry "module:attribute", folder of the package, folder of its dependencies, file for the answer
(JSON: kind and repeatable, or problem). It imports nothing of the project except the loader in that package.
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Any


def syntax_problem(package: Path) -> str | None:
    """The first file of the package that is not Python, also among those that are imported late."""
    for path in sorted(package.rglob("*.py")):
        try:
            compile(path.read_bytes(), str(path), "exec", dont_inherit=True)
        except SyntaxError as error:
            return f"{path}:{error.lineno}: SyntaxError: {error.msg}"
        except ValueError as error:
            return f"{path}:1: {error}"
    return None


def load(entry: str, package: Path) -> dict[str, object]:
    problem = syntax_problem(package)
    if problem is None:
        loading: Any = importlib.import_module("functions.loading")
        errors: Any = importlib.import_module("functions.errors")
        try:
            agent = loading.load(entry)
        except errors.AgentNotLoaded as error:
            problem = str(error)
        else:
            return {"kind": agent.kind.value, "repeatable": agent.repeatable is True}
    return {"problem": problem.replace(f"{package}/", "")}


def main(entry: str, package: str, dependencies: str, answer: str) -> None:
    sys.path[:0] = [package, dependencies]
    Path(answer).write_text(json.dumps(load(entry, Path(package))))


if __name__ == "__main__":
    main(*sys.argv[1:])
