"""Check before a deployment that the agent can be imported in each cloud.

The files of a cloud's package are unpacked and loaded in a child process, by the loader that runs in the
clouds, with that cloud's locked dependencies and import path; under the clouds' Python if it is found. An
error of the agent names its file and line.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import cast

from infra.config.model import Cloud, Settings
from infra.errors import AgentError
from infra.package import AgentInfo
from infra.packaging import dependencies, names
from infra.packaging.sources import PackageInputs
from infra.packaging.tools import Tools, unpack
from infra.setup import cloud_wheels
from skyfleet import contract

CHILD = Path(__file__).with_name("agent_check_child.py")
# Clouds give a cold start about ten seconds. Here one import for each cloud runs at once.
IMPORT_LIMIT_S = 60.0
LAST_LINES = 8


def check(
    settings: Settings,
    inputs: PackageInputs,
    tools: Tools,
    folder: Path,
    progress: Callable[[str], None],
) -> AgentInfo:
    """Load this build of the agent as each cloud would, or return the result of an earlier check of it.

    folder: of the results. progress: gets a line about each slow step. Raises AgentError with file, line and
    reason.
    """
    result = folder / f"agent-{inputs.build}.json"
    known = _earlier(result, settings.clouds)
    if known is not None:
        return known
    here = _here(tools)
    installed: dict[Cloud, Path] = {
        cloud: dependencies.install(inputs.locks[cloud], here, tools, progress) for cloud in settings.clouds
    }
    if refused := names.refusal(settings.agent, installed):
        raise AgentError(f"The agent {settings.agent} cannot be deployed; nothing was changed: {refused}")

    def load(cloud: Cloud) -> dict[str, object]:
        with tempfile.TemporaryDirectory(prefix="skyfleet-agent-") as package:
            unpack([*inputs.shared, *inputs.entries[cloud]], Path(package))
            return _load(settings, cloud, Path(package), installed[cloud], tools)

    with ThreadPoolExecutor(len(settings.clouds)) as threads:
        answers = dict(zip(settings.clouds, threads.map(load, settings.clouds), strict=True))
    info = _info(settings.agent, answers)
    draft = result.with_suffix(f".{os.getpid()}")
    draft.write_text(json.dumps({**asdict(info), "clouds": settings.clouds}))
    draft.replace(result)
    return info


def _here(tools: Tools) -> dependencies.Target:
    """The dependencies that this machine can import: those of the clouds if it is like them."""
    linux = sys.platform == "linux" and platform.machine() == "x86_64"
    if tools.python.is_target and linux and _glibc(platform.libc_ver()) >= cloud_wheels.GLIBC:
        return dependencies.CLOUD_TARGET
    return dependencies.Target(tools.python.minor, None)


def _glibc(found: tuple[str, str]) -> tuple[int, ...]:
    """The version in what platform.libc_ver() returns, which is empty for another C library."""
    name, version = found
    return tuple(int(part) for part in version.split(".") if part.isdigit()) if name == "glibc" else ()


def _earlier(path: Path, clouds: Sequence[Cloud]) -> AgentInfo | None:
    try:
        found = cast("dict[str, object]", json.loads(path.read_text()))
        checked = cast("Sequence[object]", found["clouds"])
        if not all(cloud in checked for cloud in clouds):
            return None
        return AgentInfo(str(found["kind"]), found["repeatable"] is True)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _load(
    settings: Settings, cloud: Cloud, package: Path, installed: Path, tools: Tools
) -> dict[str, object]:
    """Run the child with the environment of a cloud: only its own variables."""
    variables = {"PATH": tools.environ.get("PATH", os.defpath)}
    variables |= {contract.ROLE: "agent", "HOME": str(package)}
    if settings.model:
        variables |= {
            contract.MODEL_BASE_URL: settings.model.base_url,
            contract.MODEL_NAME: settings.model.name,
        }
    answer = package / ".answer.json"
    command = [str(tools.python.path), "-I", "-B", str(CHILD), settings.agent, cloud]
    try:
        done = subprocess.run(
            [*command, str(package), str(installed), str(answer)],
            cwd=package,
            env=variables,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=IMPORT_LIMIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise AgentError(
            f"The agent {settings.agent} was still importing after {IMPORT_LIMIT_S:g} s. Move slow "
            "work (network calls, large models) from the top of the module into the function."
        ) from None
    try:
        return cast("dict[str, object]", json.loads(answer.read_text()))
    except (OSError, ValueError):
        lines = "\n".join(done.stderr.strip().splitlines()[-LAST_LINES:])
        raise AgentError(
            f"Python ended with exit code {done.returncode} while it imported the agent {settings.agent}. "
            f"Its last lines:\n{lines}"
        ) from None


def _info(agent: str, answers: Mapping[Cloud, dict[str, object]]) -> AgentInfo:
    """What all clouds agree on. Raises AgentError with the first problem and the clouds that have it."""
    problems = {cloud: str(answer["problem"]) for cloud, answer in answers.items() if "problem" in answer}
    if problems:
        first = next(iter(problems.values()))
        where = [cloud for cloud, problem in problems.items() if problem == first]
        told = "" if len(where) == len(answers) else f" on {', '.join(where)}"
        raise AgentError(f"The agent {agent} cannot be deployed{told}; nothing was changed: {first}")
    answer = next(iter(answers.values()))
    return AgentInfo(str(answer.get("kind")), answer.get("repeatable") is True)
