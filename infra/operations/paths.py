"""The files of one checkout. Those of the emulator's stack are under `.skyfleet/`, which `down` removes.

The manager of a stack on real accounts keeps its tokens and history under `.skyfleet-stacks/`, which stays.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

PROJECT = "skyfleet"
STACK = "local"


@dataclass(frozen=True, slots=True)
class Layout:
    """Paths of the checkout `root`."""

    root: Path

    @property
    def home(self) -> Path:
        return self.root / ".skyfleet"

    @property
    def pulumi_home(self) -> Path:
        return self.home / "pulumi"

    @property
    def state(self) -> Path:
        """The folder of Pulumi's file backend."""
        return self.home / "state"

    @property
    def checkpoint(self) -> Path:
        """The state of the stack, written by the file backend."""
        return self.state / ".pulumi" / "stacks" / PROJECT / f"{STACK}.json"

    @property
    def stack_locks(self) -> Path:
        """The folder with the lock files of the stack."""
        return self.state / ".pulumi" / "locks" / "organization" / PROJECT / STACK

    @property
    def packages(self) -> Path:
        return self.home / "packages"

    @property
    def emulator_file(self) -> Path:
        """Written by the daemon when it is ready: addresses, token, pid."""
        return self.home / "emulator.json"

    @property
    def daemon_file(self) -> Path:
        """Written when the daemon is started: its pid and a hash of its code."""
        return self.home / "daemon.json"

    @property
    def outputs(self) -> Path:
        """A copy of the stack's outputs, readable by the user alone."""
        return self.home / "outputs.json"

    @property
    def logs(self) -> Path:
        return self.home / "logs"

    @property
    def up_log(self) -> Path:
        return self.logs / "up.log"

    @property
    def daemon_log(self) -> Path:
        """What the daemon prints, such as a traceback at its start."""
        return self.logs / "daemon.log"

    @property
    def manager_log(self) -> Path:
        """What the manager prints that `up` has started."""
        return self.logs / "manager.log"

    def manager(self, stack: str = STACK) -> Path:
        """The folder of a stack's manager: tokens, audit log, jobs. stack: with or without owner."""
        if stack == STACK:
            return self.home / "manager"
        return self.root / ".skyfleet-stacks" / stack.replace("/", "+") / "manager"

    def manager_file(self, stack: str = STACK) -> Path:
        """Written by a manager that runs: its URL and pid."""
        return self.manager(stack).with_name("manager.json")

    def shown(self, path: Path) -> str:
        """`path` relative to the checkout, if it is inside."""
        return str(path.relative_to(self.root)) if path.is_relative_to(self.root) else str(path)
