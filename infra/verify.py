"""Identical is checked: after a deploy every public function must report the build that was deployed.

A cloud may say "done" and go on serving the old package; then `pulumi up` fails here and names the cloud.
"""

from __future__ import annotations

import asyncio
import json
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import pulumi

from infra.contract import FunctionEndpoint, Role
from infra.errors import StaleBuildError

# A first request may meet a cold start behind a certificate that is seconds old; a minute is more than any
# cloud has needed to switch over, and less than a person waits before looking for the reason.
LIMIT_S = 60.0
FIRST_PAUSE_S, PAUSE_GROWTH, LONGEST_PAUSE_S = 0.1, 1.6, 5.0
REQUEST_S = 15.0

Get = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Clock:
    """Time as an argument, so that tests need none."""

    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


def deployed(endpoint: FunctionEndpoint, role: Role, build: str) -> pulumi.Output[str]:
    """The endpoint's URL once it serves `build`; a preview asks nobody."""
    where = f"{role} on {endpoint.cloud}/{endpoint.region}"

    async def check(url: str) -> str:
        if not pulumi.runtime.is_dry_run():
            try:
                await asyncio.to_thread(wait_for_build, where, url, build, get, Clock())
            except StaleBuildError as error:
                raise pulumi.RunError(str(error)) from None
        return url

    return endpoint.url.apply(check)


def wait_for_build(where: str, url: str, build: str, get: Get, clock: Clock) -> None:
    """Asks `url`/health until it reports `build`, at growing pauses; raises StaleBuildError after the
    limit."""
    end = clock.now() + LIMIT_S
    pause = FIRST_PAUSE_S
    while True:
        found = reported(url, get)
        if found == f"build {build}":
            return
        if clock.now() + pause > end:
            raise StaleBuildError(
                f"The {where} does not serve what was deployed: expected build {build}, found {found} at "
                f"{url}/health after {LIMIT_S:g} s. Its log says more; a cloud that was only slow passes at "
                "the next `pulumi up`; `pulumi up --replace URN` of the function's package publishes it anew."
            )
        clock.sleep(pause)
        pause = min(pause * PAUSE_GROWTH, LONGEST_PAUSE_S)


def reported(url: str, get: Get) -> str:
    """`build <id>`, or in words why there is none."""
    try:
        answer: object = json.loads(get(f"{url}/health"))
    except ValueError:
        return "a reply that is not JSON"
    except OSError as error:
        return f"no answer ({error})"
    build = cast("dict[str, object]", answer).get("build") if isinstance(answer, dict) else None
    return f"build {build}" if isinstance(build, str) else "a reply without a build"


def get(url: str) -> str:
    """The body of a GET; OSError for whatever goes wrong on the way, HTTP errors among them."""
    request = urllib.request.Request(url, headers={"accept": "application/json"})  # noqa: S310  # our own URL
    with urllib.request.urlopen(request, timeout=REQUEST_S) as reply:  # noqa: S310  # our own URL
        return reply.read().decode("utf-8", "replace")
