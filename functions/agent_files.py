"""Load the agent of a package: its files have a folder of their own there, `agent_files`.

Rules:
- The folder comes first on the import path and is the working folder, in each cloud alike. Without this the
  clouds differ: Lambda finds the package before the standard library, functions-framework after all else.
- A module of the agent may be named as an entry file that its platform has loaded already: `main`.
- Names of the standard library, of dependencies and of this project are refused before a deployment
  (infra/packaging/names.py). Any other module of the same name that the platform has imported is named here.

An agent inside of `functions/`, and any agent in a checkout, has no such folder.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Final

from functions import loading
from functions.errors import AgentNotLoaded
from functions.loading import LoadedAgent
from skyfleet import contract

# functions-framework registers Google's entry file under its name, and keeps the module itself
# (functions_framework/_function_registry.py, load_function_module). Azure's worker imports function_app by
# its name again, so that name cannot be given away.
ENTRY_MODULE: Final = "main"


def load(reference: str, root: Path) -> LoadedAgent:
    """Import the agent of the package in `root`. Raises AgentNotLoaded with paths as in a checkout."""
    folder = root / contract.AGENT_FOLDER
    if folder.is_dir():
        _enter(folder, reference)
    try:
        return loading.load(reference)
    except AgentNotLoaded as error:
        told = str(error).replace(f"{folder}{os.sep}", "").replace(f"{root}{os.sep}", "")
        raise AgentNotLoaded(told) from error.__cause__


def of_user(reference: str, root: Path) -> tuple[str, ...]:
    """Beginnings of the paths of a loaded agent's own files: its folder, and the file of its module."""
    module = sys.modules.get(reference.partition(":")[0])
    file = module.__file__ if module is not None else None
    return (f"{root / contract.AGENT_FOLDER}{os.sep}", *([file] if file else []))


def _enter(folder: Path, reference: str) -> None:
    """Put the folder first. The process belongs to this agent alone, so its import path may change."""
    entry = sys.modules.get(ENTRY_MODULE)
    if entry is not None and _place(entry) == str(folder.parent / f"{ENTRY_MODULE}.py"):
        del sys.modules[ENTRY_MODULE]
    top = reference.partition(":")[0].partition(".")[0]
    taken = sys.modules.get(top)
    if taken is not None and top != "functions" and not _place(taken).startswith(f"{folder}{os.sep}"):
        raise AgentNotLoaded(
            f"{reference}: the runtime has already imported another module {top!r} "
            f"({_place(taken) or 'built in'}). Rename the agent's module, and skyfleet:agent with it."
        )
    sys.path.insert(0, str(folder))
    os.chdir(folder)


def _place(module: ModuleType) -> str:
    """File of a module, or folder of a package without one; empty if it is built in."""
    return module.__file__ or next(iter(getattr(module, "__path__", ())), "")
