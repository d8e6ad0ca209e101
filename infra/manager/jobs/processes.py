"""The jobs of a real stack or of the emulator's: a queue whose children are processes of this machine."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from infra.manager.desired.stack_file import StackFile
from infra.manager.jobs.journal import Child
from infra.manager.jobs.queue import JobQueue, Means
from infra.operations.manager.process import start_ticks
from infra.operations.paths import STACK, Layout
from infra.operations.stack.option import is_real
from infra.operations.stack.recovery import check_lock

LOG = "child.log"


def jobs_of(layout: Layout, stack: str = STACK) -> JobQueue:
    """The jobs of a stack. stack: its name, with or without owner."""
    name = stack.rpartition("/")[2]

    def spawn(folder: Path) -> subprocess.Popen[bytes]:
        with (folder / LOG).open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "infra.manager.jobs.child", str(folder), stack],
                cwd=layout.root,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env={**os.environ, "PYTHONPATH": _path(layout)},
            )

    def free() -> None:
        if not is_real(stack):
            check_lock(layout)

    file = StackFile(layout.root / f"Pulumi.{name}.yaml")
    return JobQueue(layout.manager(stack) / "jobs", Means(name, file, spawn, is_alive, free))


def is_alive(child: Child) -> bool:
    """Whether the process of a job runs."""
    return start_ticks(child.pid) == child.ticks


def _path(layout: Layout) -> str:
    """The checkout's own sources first."""
    rest = [part for part in os.environ.get("PYTHONPATH", "").split(os.pathsep) if part]
    return os.pathsep.join(dict.fromkeys([str(layout.root), *rest]))
