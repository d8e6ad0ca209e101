"""The end of `up`: wait for the first report of each checker, so that the status shows the targets' health.

The scheduler of a cloud starts its checker every minute, and until then all targets are `unknown`. So `up`
has the emulator start those checkers that no router has heard of. The wait is limited, and checkers that do
not report are named: the fleet serves without them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from infra.operations import json_access
from infra.operations.emulator.admin import EmulatorInfo, call
from infra.operations.errors import EmulatorFailed
from infra.operations.routers.client import get_statuses
from infra.operations.stack.outputs import Outputs

# Beyond the probes of one run: the start of the instance, and sending the snapshots.
GRACE_S = 12.0
POLL_S = 0.25


@dataclass(frozen=True, slots=True)
class Clock:
    """Time as an argument, so that tests need none."""

    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


def missing_checkers(
    reported: Callable[[], set[str]], expected: Iterable[str], limit_s: float, clock: Clock
) -> list[str]:
    """The checkers of `expected` that have not reported within `limit_s`."""
    end = clock.now() + limit_s
    while True:
        seen = reported()
        missing = [name for name in expected if name not in seen]
        if not missing or clock.now() >= end:
            return missing
        clock.sleep(POLL_S)


def reported_checkers(outputs: Outputs) -> set[str]:
    """`cloud/region` of the checkers with a fresh snapshot, according to the first router that answers."""
    answers = get_statuses(outputs.router_urls, outputs.api_key)
    status = next((answer.status for answer in answers if answer.status), None)
    checkers = json_access.objects(status.get("checkers")) if status else []
    return {json_access.string(one.get("checker")) for one in checkers if one.get("fresh") is True}


def wait_for_checkers(
    outputs: Outputs, info: EmulatorInfo, expected: Sequence[str], rounds_s: float
) -> list[str]:
    """Start the checkers that have not reported, wait for them, and return those that still have not.

    rounds_s: seconds that the probes of one run take.
    """
    missing = missing_checkers(partial(reported_checkers, outputs), expected, 0, Clock())
    if not missing:
        return []
    clouds = list(dict.fromkeys(name.partition("/")[0] for name in missing))
    with ThreadPoolExecutor(len(clouds)) as pool:
        for cloud in clouds:
            pool.submit(_run_checkers, info, cloud)
        return missing_checkers(partial(reported_checkers, outputs), expected, rounds_s + GRACE_S, Clock())


def sentence(missing: Sequence[str], waited_s: float) -> str:
    """The message about checkers that have not reported."""
    clouds = ", ".join(dict.fromkeys(name.partition("/")[0] for name in missing))
    return (
        f"no report within {waited_s:.0f} s from the checkers in {', '.join(missing)}: until they report, "
        f"`skyfleet status` says `unknown` there. Their logs: `skyfleet logs --role checker` ({clouds})"
    )


def _run_checkers(info: EmulatorInfo, cloud: str) -> None:
    """Start the checkers of a cloud. The reply comes after their run; the routers report on it as well."""
    try:
        call(info, "POST", "/v1/schedules/run", {"cloud": cloud})
    except EmulatorFailed:
        return
