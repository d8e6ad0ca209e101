"""Where everything of one checkout's emulated stack lies: all of it under `.skyfleet/`, removed by `down`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

PROJECT = "skyfleet"
STACK = "local"


@dataclass(frozen=True, slots=True)
class Layout:
    """Paths below `root`, the checkout."""

    root: Path

    @property
    def home(self) -> Path:
        return self.root / ".skyfleet"

    @property
    def pulumi_home(self) -> Path:
        return self.home / "pulumi"

    @property
    def state(self) -> Path:
        """Pulumi's file backend."""
        return self.home / "state"

    @property
    def checkpoint(self) -> Path:
        """The stack's state as the file backend writes it."""
        return self.state / ".pulumi" / "stacks" / PROJECT / f"{STACK}.json"

    @property
    def stack_locks(self) -> Path:
        """Folder of the file backend's lock notes for the stack."""
        return self.state / ".pulumi" / "locks" / "organization" / PROJECT / STACK

    @property
    def packages(self) -> Path:
        return self.home / "packages"

    @property
    def emulator_file(self) -> Path:
        """Written by the daemon once it is ready."""
        return self.home / "emulator.json"

    @property
    def daemon_file(self) -> Path:
        """Written by us when we start the daemon: its pid and the code it runs."""
        return self.home / "daemon.json"

    @property
    def outputs(self) -> Path:
        """Our copy of the stack's outputs, readable by the user alone."""
        return self.home / "outputs.json"

    @property
    def logs(self) -> Path:
        return self.home / "logs"

    @property
    def up_log(self) -> Path:
        return self.logs / "up.log"

    @property
    def daemon_log(self) -> Path:
        """What the daemon prints by itself, such as a crash at its start."""
        return self.logs / "daemon.log"

    def shown(self, path: Path) -> str:
        """`path` as a person in the checkout would write it."""
        return str(path.relative_to(self.root)) if path.is_relative_to(self.root) else str(path)
