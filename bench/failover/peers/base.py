"""The interface of a router of the scoreboard: its installation and the processes to start.

Rule: a router's module only names what to run; the bench starts, breaks and ends it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from infra.setup.progress import Console

# One attempt may take this long before a router gives it up, if the request may be repeated.
ATTEMPT_S: Final = 2.0
# On loopback a connection takes microseconds; across clouds a lost packet costs a second.
CONNECT_S: Final = 1.0
# Between two active checks of a target.
CHECK_S: Final = 1.0


class Absent(Exception):
    """A router cannot be had on this machine; the message says why."""


@dataclass(frozen=True, slots=True)
class Ground:
    """Where a router runs. folder: for its config and files. ports: its own, one for each instance.

    targets: ports of the targets. spare: free ports for helpers.
    """

    folder: Path
    ports: tuple[int, ...]
    targets: tuple[int, ...]
    spare: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Process:
    """One process to start: its arguments, what it adds to the environment, and what proves it ready."""

    argv: tuple[str, ...]
    ready_url: str
    environ: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class Plan:
    """All processes of one router. helpers: what every instance shares, such as health checkers.

    beats: URLs that a scheduler would call every `beat_s` seconds.
    """

    instances: tuple[Process, ...]
    helpers: tuple[Process, ...] = ()
    beats: tuple[str, ...] = ()
    beat_s: float = 5.0


@dataclass(frozen=True, slots=True)
class Installed:
    """A router that can be started. version: in its own words."""

    version: str
    plan: Callable[[Ground], Plan]


@dataclass(frozen=True, slots=True)
class Bench:
    """What an installation may use. cache: the per-user folder, outside of the checkout."""

    root: Path
    cache: Path
    environ: Mapping[str, str]
    console: Console


@dataclass(frozen=True, slots=True)
class Router:
    """One contestant: install it (or raise Absent) and learn how to start it."""

    name: str
    install: Callable[[Bench], Installed]
