"""Derives the desired state from the resources: what should run and which access is granted. Pure.

Nothing is raised. What a cloud refuses at run time is part of the state (`closed`, `refused`, a missing
grant),
since a half-created or half-destroyed stack is an ordinary state.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

from emulator.desired import aws, azure, gcp
from emulator.desired.common import ResourceView
from emulator.desired.model import DesiredState
from emulator.providers.storage.resource_store import Resource


def derive(resources: Mapping[str, Resource], folder: Path, now: float = math.inf) -> DesiredState:
    """The desired state. folder: state folder that holds buckets and packages. now: unix seconds; grants that
    are not in effect by then are left out.
    """
    view = ResourceView(resources, folder, now)
    parts = [part.derive(view) for part in (aws, azure, gcp)]
    return DesiredState(
        functions=tuple(function for part in parts for function in part.functions),
        schedules=tuple(schedule for part in parts for schedule in part.schedules),
        buckets=tuple(bucket for part in parts for bucket in part.buckets),
        secrets={name: value for part in parts for name, value in part.secrets.items()},
        grants=tuple(grant for part in parts for grant in part.grants),
    )
