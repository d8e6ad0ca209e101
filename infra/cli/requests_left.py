"""Show how the requests of draining targets end.

Ctrl-C ends the display, and so does a manager that is lost; the targets go on draining.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection
from typing import Final

from infra.cli.output.job_progress import Shown
from infra.operations import json_access
from infra.operations.errors import CommandFailed
from infra.operations.json_access import JsonObject
from infra.operations.manager.client import Client

# Seconds until what is left is left to itself: most requests are shorter.
LONGEST_S: Final = 60.0
EVERY_S: Final = 0.5


def follow(client: Client, targets: Collection[str], shown: Shown) -> None:
    """Show the number of requests at these targets until there is none."""
    most, before, began = 0, -1, client.clock()
    with contextlib.suppress(KeyboardInterrupt, CommandFailed):
        while client.clock() - began < LONGEST_S:
            left = in_flight(client.status(), targets)
            most = max(most, left)
            if left != before:
                done = 100.0 * (most - left) / most if most else 100.0
                text = f"{left} request{'' if left == 1 else 's'} in flight there"
                shown.event({"kind": "step", "percent": done, "text": text})
            if not left:
                return
            before = left
            client.sleep(EVERY_S)
    shown.say("they go on draining; `skyfleet status` shows what is in flight")


def in_flight(picture: JsonObject, targets: Collection[str]) -> int:
    """How many requests these targets (`cloud/region`) have, by the manager's picture."""
    return sum(
        int(json_access.number(one.get("inflight")) or 0)
        for one in json_access.objects(picture.get("targets"))
        if f"{one.get('cloud')}/{one.get('region')}" in targets
    )
