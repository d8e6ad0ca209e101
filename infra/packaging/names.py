"""Whether the top-level name of an agent's module is free: a program has one module of a name.

Python's modules, this project's and the entry files are refused with the other mistakes of the stack config
(infra/config/parse.py). Here are the names that only the locks and the platforms know: what is installed for
the agent in each cloud, and what a platform's own program has imported before the agent.

The rule of this file: reads folders of installed dependencies, changes nothing.
"""

from __future__ import annotations

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


def provides(site: Path, top: str) -> bool:
    """Whether the installed dependencies have a module of this name: a file, an extension or a folder."""
    return any(path.name.partition(".")[0] == top and _is_module(path) for path in site.iterdir())


def _is_module(path: Path) -> bool:
    return "." not in path.name if path.is_dir() else path.suffix in {".py", ".pyc", ".so"}
