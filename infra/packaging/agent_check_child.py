"""A script that loads the agent of an unpacked package, run in a child process under the clouds' Python.

Arguments: entry "module:attribute", cloud, folder of the package, folder of its dependencies, file for the
answer (JSON: kind and repeatable, or problem). It imports nothing of the project except the loader in that
package. The import path is that of the cloud, and the module that its platform has loaded by then is there:
- aws: run.sh starts `python3 -m` in the package, which stands before the standard library; the dependencies
  are at the package's root.
- azure: .python_packages comes first and the app's folder last; the worker has begun to import function_app
  (github.com/Azure/azure-functions-python-worker, workers/proxy_worker/utils/dependency.py).
- gcp: functions-framework appends the source's folder, and registers it as `main`
  (functions_framework/_function_registry.py, load_function_module); dependencies are site-packages.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

ENTRY_MODULES = {"azure": "function_app", "gcp": "main"}
FOLDER = "agent_files"  # skyfleet.contract.AGENT_FOLDER; a path is told as the user knows it


def syntax_problem(package: Path) -> str | None:
    """The first file of the package that is not Python, also among those that are imported late."""
    for path in sorted(package.rglob("*.py")):
        try:
            compile(path.read_bytes(), str(path), "exec", dont_inherit=True)
        except SyntaxError as error:
            return f"{path}:{error.lineno or 1}: SyntaxError: {error.msg}"
        except ValueError as error:
            return f"{path}:1: {error}"
    return None


def load(entry: str, package: Path) -> dict[str, object]:
    problem = syntax_problem(package)
    if problem is None:
        loader: Any = importlib.import_module("functions.agent_files")
        errors: Any = importlib.import_module("functions.errors")
        try:
            agent = loader.load(entry, package)
        except errors.AgentNotLoaded as error:
            return {"problem": str(error)}
        else:
            return {"kind": agent.kind.value, "repeatable": agent.repeatable is True}
    return {"problem": problem.replace(f"{package}/{FOLDER}/", "").replace(f"{package}/", "")}


def as_the_platform(cloud: str, package: Path, dependencies: str) -> None:
    """Arrange the import path, and the entry module that the platform registers before it runs it."""
    match cloud:
        case "aws":
            sys.path[:0] = [str(package), dependencies]
        case "azure":
            sys.path = [dependencies, *sys.path, str(package)]
        case _:
            sys.path += [dependencies, str(package)]
    if name := ENTRY_MODULES.get(cloud):
        found = importlib.util.spec_from_file_location(name, package / f"{name}.py")
        if found is not None:
            sys.modules[name] = importlib.util.module_from_spec(found)


def main(entry: str, cloud: str, package: str, dependencies: str, answer: str) -> None:
    root = Path(package)
    as_the_platform(cloud, root, dependencies)
    Path(answer).write_text(json.dumps(load(entry, root)))


if __name__ == "__main__":
    main(*sys.argv[1:])
