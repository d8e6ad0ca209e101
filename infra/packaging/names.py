"""Whether the top-level name of an agent's module is free: a program has one module of a name.

Python's modules, this project's and the entry files are refused with the other mistakes of the stack config
(infra/config/parse.py). Here are the names that only the locks and the platforms know: what is installed for
the agent in each cloud, and what a platform's own program has imported before the agent.

The rule of this file: reads folders of installed dependencies, changes nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from infra.config.model import Cloud

# Azure's worker process runs the agent's code: github.com/Azure/azure-functions-python-worker, workers/
# (azure_functions_worker, proxy_worker, and its requirements grpcio and protobuf). Lambda runs run.sh as a
# process of its own; all that Google's process imports is in the lock.
PLATFORM: Mapping[Cloud, frozenset[str]] = {
    "aws": frozenset(),
    "azure": frozenset({"azure_functions_worker", "proxy_worker", "google", "grpc"}),
    "gcp": frozenset(),
}


def refusal(agent: str, installed: Mapping[Cloud, Path]) -> str | None:
    """Why the agent "module:attribute" needs another name for its module; None if the name is free.

    installed: the folder of an agent's dependencies, by cloud.
    """
    top = agent.partition(":")[0].partition(".")[0]
    if top == "functions":
        return None
    owners = [
        f"a dependency in locks/agent-{cloud}.txt" for cloud in installed if provides(installed[cloud], top)
    ]
    owners += [f"a module of {cloud}'s runtime" for cloud in installed if top in PLATFORM[cloud]]
    if not owners:
        return None
    return (
        f"{top} is also the name of {' and of '.join(owners)}, and a program has one module of a name. "
        f"Rename the agent's, for example to my_{top}, and skyfleet:agent with it."
    )


def missing_module(problem: str, agent: str, root: Path) -> str:
    """What to do about a module that the agent imports and its package does not have; empty for another
    problem. root: of the checkout."""
    found = re.search(r"No module named '(\w+)", problem)
    if found is None:
        return ""
    name, top = found[1], agent.partition(":")[0].partition(".")[0]
    if name != top and ((root / f"{name}.py").is_file() or (root / name).is_dir()):
        return (
            f". {name} is beside {top}, and a package has the agent's own module only: put both into one "
            f"folder, for example my_agent/, with `from my_agent import {name}` and skyfleet:agent: "
            f"my_agent.{agent}"
        )
    return f". If {name} is a package to install, add it to functions/requirements.in and run `make lock`"


def provides(site: Path, top: str) -> bool:
    """Whether the installed dependencies have a module of this name: a file, an extension or a folder."""
    return any(path.name.partition(".")[0] == top and _is_module(path) for path in site.iterdir())


def _is_module(path: Path) -> bool:
    return "." not in path.name if path.is_dir() else path.suffix in {".py", ".pyc", ".so"}
