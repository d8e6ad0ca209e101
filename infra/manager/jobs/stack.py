"""What a job needs of a stack, as an interface: its file, its deployment, its routers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from infra.manager.desired.stack_file import StackFile
from infra.operations.progress import Progress


class Stack(Protocol):
    """One stack. Methods raise CommandFailed with what happened and what to do."""

    @property
    def name(self) -> str:
        """Its name, without owner."""
        ...

    @property
    def file(self) -> StackFile:
        """The file with its config."""
        ...

    def lock(
        self, waiting: Callable[[], None], pause: Callable[[], None]
    ) -> AbstractContextManager[object, bool | None]:
        """Keep other deployments of this checkout away. waiting, pause: see infra.setup.file_lock."""
        ...

    def deploy(self, progress: Progress, on_line: Callable[[], None], required: Sequence[str] = ()) -> None:
        """Deploy what the file says. on_line: called with each line of Pulumi. required: clouds without
        which it fails as a whole, if their management API is down.

        Raises PartlyDeployed, DeploymentStopped, PulumiKilled, StackLocked, or another CommandFailed.
        """
        ...

    def preview(self, config: Path, progress: Progress, on_line: Callable[[], None]) -> list[str]:
        """The plan of a deployment of the stack's file `config`, a line for each operation."""
        ...

    def targets(self) -> Sequence[str]:
        """`cloud/region` of each deployed target."""
        ...

    def resources(self, cloud: str, region: str) -> Sequence[str]:
        """`type name` of each resource of a region in the state; empty where that cannot be read."""
        ...

    def is_draining(self, target: str) -> bool:
        """Whether a target drains at any router."""
        ...

    def drain(self, target: str, *, undo: bool) -> Sequence[str]:
        """Drain a target at all routers, or end that; a sentence for each router that did not take it."""
        ...

    def in_flight(self, target: str) -> int:
        """Requests in flight to a target, as the routers that answer report it."""
        ...
