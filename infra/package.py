"""What is built and deployed, as data: a package is of one of two kinds and for one cloud.

Rule of this file: no Pulumi. The command line builds packages too, and importing Pulumi takes longer than
most of its commands.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from infra.config.model import Cloud

Kind = Literal["agent", "router"]

KINDS: tuple[Kind, ...] = ("agent", "router")


@dataclass(frozen=True, slots=True)
class Package:
    """A built zip. inputs: hash of its content, and its name in the cloud. build: the id in `/health`."""

    kind: Kind
    cloud: Cloud
    path: Path
    inputs: str
    build: str


@dataclass(frozen=True, slots=True)
class AgentInfo:
    """What is known of a loaded agent. kind: function, generator or asgi."""

    kind: str
    repeatable: bool
