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
    """A built zip. `inputs`: hash of all that went in, the package's name in the cloud; `build`: what
    `/health` says."""

    kind: Kind
    cloud: Cloud
    path: Path
    inputs: str
    build: str
