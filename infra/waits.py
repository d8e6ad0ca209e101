"""Waits of a first deployment for what takes time to act in a cloud and cannot be asked.

The rule of this file: a wait is a resource, so the engine keeps that it is over. It depends on the ids of
what it waits for: an update that changes none of them waits for nothing, one that makes a grant again waits
again. What can be asked is asked instead (`infra/rollout.py`).
"""

from __future__ import annotations

from collections.abc import Sequence

import pulumi
import pulumiverse_time as time


def wait(
    name: str, seconds: int, after: Sequence[pulumi.CustomResource], *, parent: pulumi.Resource
) -> time.Sleep:
    """A resource that is created `seconds` after the last of `after`; what needs their effect depends on it.

    name: says in the deployment's output what is waited for, as `azure-westeurope-agent-roles-take-effect`.
    """
    return time.Sleep(
        name,
        create_duration=f"{seconds}s",
        triggers={f"{index:02}": resource.id for index, resource in enumerate(after)},
        opts=pulumi.ResourceOptions(parent=parent, depends_on=list(after)),
    )
