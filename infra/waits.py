"""Fixed waits of a first deployment, for changes that take effect late and cannot be polled.

The rule of this file: a wait is a resource, so the state has that it is over. It depends on the ids of the
resources before it: an update that replaces one of them waits again, others do not. What can be polled is
polled instead (`infra/rollout.py`).
"""

from __future__ import annotations

from collections.abc import Sequence

import pulumi
import pulumiverse_time as time


def wait(
    name: str, seconds: int, after: Sequence[pulumi.CustomResource], *, parent: pulumi.Resource
) -> time.Sleep:
    """A resource that is created `seconds` after the last of `after`; dependents need their effect.

    name: shown by Pulumi while it waits, such as `azure-westeurope-agent-roles-take-effect`.
    """
    return time.Sleep(
        name,
        create_duration=f"{seconds}s",
        triggers={f"{index:02}": resource.id for index, resource in enumerate(after)},
        opts=pulumi.ResourceOptions(parent=parent, depends_on=list(after)),
    )
