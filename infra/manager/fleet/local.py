"""The sources of a picture: the routers over HTTP, the stack config, the outputs, the emulator's instances.

Every function blocks, and is called in a thread.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Final

from infra.manager.desired.stack_file import StackFile, version
from infra.manager.errors import ManagerError
from infra.manager.fleet.fold import Answer, Deployed, Desired
from infra.manager.fleet.minutes import MINUTES_S, get_minutes
from infra.manager.fleet.router_fleet import Sources
from infra.operations import json_access
from infra.operations.context import require_outputs
from infra.operations.emulator.admin import call
from infra.operations.emulator.daemon import running
from infra.operations.errors import EmulatorFailed
from infra.operations.http import session
from infra.operations.json_access import JsonObject
from infra.operations.paths import Layout
from infra.operations.routers.client import auth_header
from infra.operations.stack.option import is_real
from infra.operations.stack.outputs import Outputs

# A router answers from memory; one that needs longer is as good as silent to its clients, too.
ANSWER_S: Final = 3.0
# Outputs of a stack on real accounts change with a deployment only, and reading them starts Pulumi twice.
REAL_OUTPUTS_S: Final = 60.0


def sources(layout: Layout, stack: str, clock: Callable[[], float] = time.time) -> Sources:
    """The sources of a stack."""
    file = StackFile(layout.root / f"Pulumi.{stack.rpartition('/')[2]}.yaml")
    return Sources(
        stack=stack,
        outputs=_Outputs(layout, stack).read,
        desired=partial(read_desired, file, stack),
        deployed=partial(read_deployed, layout, stack),
        ask=partial(ask, clock=clock),
        clock=clock,
    )


class _Outputs:
    """The outputs of a stack; those of a real one are kept for a while."""

    def __init__(self, layout: Layout, stack: str) -> None:
        self._layout, self._stack = layout, stack
        self._kept: tuple[float, Outputs] | None = None

    def read(self) -> Outputs:
        """The outputs. Raises CommandFailed."""
        if not is_real(self._stack):
            return require_outputs(self._layout)
        now = time.monotonic()
        if self._kept is None or now - self._kept[0] > REAL_OUTPUTS_S:
            self._kept = now, require_outputs(self._layout, self._stack)
        return self._kept[1]


def read_desired(file: StackFile, stack: str) -> Desired:
    """The stack config as the picture needs it; a mistake in it is its problem."""
    from infra.config.parse import parse_settings
    from infra.errors import ConfigError

    try:
        config = file.config()
    except ManagerError as error:
        return Desired(problem=error.detail)
    found = version(config)
    try:
        settings = parse_settings(config, stack.rpartition("/")[2])
    except ConfigError as error:
        return Desired(found, problem=f"The stack config has mistakes: {'; '.join(error.mistakes)}.")
    limits = {
        str(target.place): (target.instances.min_instances or 0, settings.max_instances(target))
        for target in settings.targets
    }
    return Desired(found, {str(target.place): target.weight for target in settings.targets}, limits)


def read_deployed(layout: Layout, stack: str, outputs: Outputs) -> Deployed:
    """The outputs as the picture needs them, with the instances where the cloud tells them."""
    agents = json_access.objects(outputs.all.get("agents"))
    info = None if is_real(stack) else running(layout)
    if info is None:
        return Deployed(agents)
    try:
        return Deployed(agents, instances(call(info, "GET", "/v1/status"), agents))
    except EmulatorFailed:
        return Deployed(agents)


def instances(emulator: JsonObject, agents: list[JsonObject]) -> Mapping[str, int]:
    """The running instances of each agent, by target. emulator: its status."""
    found: dict[str, int] = {}
    for function in json_access.objects(emulator.get("functions")):
        place = json_access.place(function)
        role = json_access.string(function.get("role"))
        if role == "agent" and any(json_access.place(agent) == place for agent in agents):
            found[place] = found.get(place, 0) + len(json_access.objects(function.get("instances")))
    return found


def ask(before: Answer, api_key: str, *, clock: Callable[[], float]) -> Answer:
    """What a router answers now. before: its last answer; its minutes are asked for rarely."""
    import requests

    headers = auth_header(api_key)
    with session(before.url) as http:
        try:
            reply = http.get(f"{before.url}/api/status", headers=headers, timeout=ANSWER_S)
            status = json_access.as_object(json_access.parse(reply.text))
            if reply.status_code != 200 or "targets" not in status:
                told = f"HTTP {reply.status_code}: {reply.text.strip()[:80] or 'no body'}"
                return replace(before, status={}, problem=told)
            answer = replace(before, status=status, problem="")
            if clock() - before.minutes_at > MINUTES_S:
                minutes = get_minutes(http, before.url, headers, ANSWER_S)
                answer = replace(answer, minutes=minutes, minutes_at=clock())
            return answer
        except requests.Timeout:
            return replace(before, status={}, problem=f"no answer within {ANSWER_S:g} s")
        except requests.ConnectionError:
            return replace(before, status={}, problem="connection refused or cut")
        except requests.RequestException as error:
            return replace(before, status={}, problem=type(error).__name__)
