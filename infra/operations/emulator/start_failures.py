"""Why functions did not start during a deployment, from the logs of the emulated clouds.

A function that cannot start prints one line with the agent's own file and line
(functions/runtimes/app_loader.py). A cloud that starts functions later than it deploys them, such as Lambda,
tells it nowhere else.

The rule of this file: it only reads files.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from infra.config.model import CLOUDS
from skyfleet.contract import CANNOT_START


def log_sizes(logs: Path) -> dict[Path, int]:
    """The bytes of each function's log now, for `start_failures` after the deployment."""
    return {path: path.stat().st_size for cloud in CLOUDS for path in (logs / cloud).glob("*.log")}


def start_failures(logs: Path, before: Mapping[Path, int]) -> list[str]:
    """The last reason of each function that did not start since `before`: `cloud/function: reason`."""
    found: list[str] = []
    for cloud in CLOUDS:
        for path in sorted((logs / cloud).glob("*.log")):
            with path.open("rb") as file:
                start = before.get(path, 0)
                # A log that was rotated meanwhile is shorter.
                file.seek(start if start <= path.stat().st_size else 0)
                lines = file.read().decode(errors="replace").splitlines()
            reasons = [line.removeprefix(CANNOT_START) for line in lines if line.startswith(CANNOT_START)]
            found += [f"{cloud}/{path.stem} does not start: {reason}" for reason in reasons[-1:]]
    return found
