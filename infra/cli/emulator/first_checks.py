"""The end of `up`: each checker has spoken once, so that the status says how the targets are.

A checker is fired by its cloud's scheduler each minute; a new fleet would be `unknown: no evidence yet` until
then. So the emulator is asked to fire now those that no router has heard of. The wait is bounded: a fleet is
up also when a checker is not, and then that is said.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from infra.cli import json_access
from infra.cli.emulator.admin import EmulatorInfo, call
from infra.cli.errors import EmulatorFailed
from infra.cli.routers.client import get_statuses
from infra.cli.stack.outputs import Outputs

# A checker's rounds, the start of its instance, and sending.
GRACE_S = 12.0
POLL_S = 0.25


@dataclass(frozen=True, slots=True)
class Clock:
    """Time as an argument, so that tests need none."""

    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


def silent(heard: Callable[[], set[str]], expected: Iterable[str], limit_s: float, clock: Clock) -> list[str]:
    """The checkers of `expected` that no router has heard of when the time is over."""
    end = clock.now() + limit_s
    while True:
        heard_of = heard()
        missing = [name for name in expected if name not in heard_of]
        if not missing or clock.now() >= end:
            return missing
        clock.sleep(POLL_S)


def fresh(outputs: Outputs) -> set[str]:
    """`cloud/region` of the checkers with fresh news, as the first router that answers knows them."""
    answers = get_statuses(outputs.router_urls, outputs.api_key)
    status = next((answer.status for answer in answers if answer.status), None)
    told = json_access.objects(status.get("checkers")) if status else []
    return {json_access.string(one.get("checker")) for one in told if one.get("fresh") is True}


def wait_for_checkers(
    outputs: Outputs, note: EmulatorInfo, expected: Sequence[str], rounds_s: float
) -> list[str]:
    """Fire those that were not heard of yet, wait for them, and name those that stay silent."""
    missing = silent(partial(fresh, outputs), expected, 0, Clock())
    if not missing:
        return []
    clouds = list(dict.fromkeys(name.partition("/")[0] for name in missing))
    with ThreadPoolExecutor(len(clouds)) as pool:
        for cloud in clouds:
            pool.submit(_run_checkers, note, cloud)
        return silent(partial(fresh, outputs), expected, rounds_s + GRACE_S, Clock())


def sentence(missing: Sequence[str], waited_s: float) -> str:
    """What to say of checkers that stay silent."""
    clouds = ", ".join(dict.fromkeys(name.partition("/")[0] for name in missing))
    return (
        f"no news within {waited_s:.0f} s from the checkers in {', '.join(missing)}: until they report, "
        f"`skyfleet status` says `unknown` there. Their logs: `skyfleet logs --role checker` ({clouds})"
    )


def _run_checkers(note: EmulatorInfo, cloud: str) -> None:
    """The answer comes when the run is over, which is not waited for: the routers tell of it."""
    try:
        call(note, "POST", "/v1/schedules/run", {"cloud": cloud})
    except EmulatorFailed:
        return
