"""The interface of a router on the scoreboard: its installation and its processes.

Rule: the module of a router only names what to run. The bench starts and ends the processes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from infra.setup.progress import Console

# Timeout of an attempt whose request may be repeated.
ATTEMPT_S: Final = 2.0
# On loopback a connection takes microseconds; between clouds a lost packet costs a second.
CONNECT_S: Final = 1.0
# Interval of active health checks.
CHECK_S: Final = 1.0


class Absent(Exception):
    """A router cannot be installed on this machine. The message has the reason."""


@dataclass(frozen=True, slots=True)
class Ground:
    """Folder and ports of a run.

    folder: for configs and files. ports: of the router, one for each instance. targets: of the targets.
    spare: free ports for helpers.
    """

    folder: Path
    ports: tuple[int, ...]
    targets: tuple[int, ...]
    spare: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Process:
    """A process to start.

    ready_url: answers without a 5xx once it is ready. environ: added to the environment.
    """

    argv: tuple[str, ...]
    ready_url: str
    environ: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class Plan:
    """The processes of a router.

    helpers: shared by all instances, such as checkers. scheduled_urls: invoked every `interval_s` seconds.
    """

    instances: tuple[Process, ...]
    helpers: tuple[Process, ...] = ()
    scheduled_urls: tuple[str, ...] = ()
    interval_s: float = 5.0


@dataclass(frozen=True, slots=True)
class Installed:
    """An installed router. version: as the program prints it. plan: its processes for a run."""

    version: str
    plan: Callable[[Ground], Plan]


@dataclass(frozen=True, slots=True)
class Bench:
    """What an installation uses.

    root: the checkout; cache: the folder of this user, outside of the checkout.
    """

    root: Path
    cache: Path
    environ: Mapping[str, str]
    console: Console


@dataclass(frozen=True, slots=True)
class Router:
    """A router on the scoreboard. install: raises Absent when it cannot be installed."""

    name: str
    install: Callable[[Bench], Installed]
