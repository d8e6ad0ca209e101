"""Identical is checked: after a deploy every public function must report the build that was deployed, and
the fleet it was deployed for.

A cloud may say "done" and go on serving the old package, and a function of another fleet may answer at the
URL (two fleets on one machine share its ports). Then `pulumi up` fails here and names the cloud and what it
found.

How long is waited (the emulated clouds scale it with their delays: `limits`)
- FIRST_S while nothing has answered yet. Google: a grant acts after 2 minutes, sometimes 7 or more
  (cloud.google.com/iam/docs/access-change-propagation). Azure: an instance must start with the new package
  first (azure-functions-host #10169: fixed delays race).
- OLDER_S from the first answer of an older build: the function runs and its cloud has only to switch over.
What is waited for is said every SAY_S. A function is asked until it answers once with the new build and then
no more: that reply may be the cold one of its instance, and the next caller meets an instance that is warm.
"""

from __future__ import annotations

import asyncio
import json
import time
import urllib.request
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import cast
from urllib.parse import urlsplit

import pulumi

from infra.component import FunctionEndpoint, Role
from infra.config.model import Cloud
from infra.errors import StaleBuildError
from infra.loopback import is_loopback, plain

FIRST_S = 300.0
OLDER_S = 120.0
# However short an emulated cloud's delays are, its functions take some time to start.
LEAST_FIRST_S, LEAST_OLDER_S = 60.0, 20.0
SAY_S = 30.0
FIRST_PAUSE_S, PAUSE_GROWTH, LONGEST_PAUSE_S = 0.1, 1.6, 5.0
REQUEST_S = 15.0

Get = Callable[[str], Awaitable[str]]

# Threads of its own: the engine's calls wait in the event loop's, and a function may be asked for minutes.
_threads = ThreadPoolExecutor(16, thread_name_prefix="verify")


@dataclass(frozen=True, slots=True)
class Clock:
    """Time as an argument, so that tests need none."""

    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep


@dataclass(frozen=True, slots=True)
class Function:
    """What is asked, and for which build of which fleet."""

    cloud: Cloud
    where: str
    url: str
    build: str
    fleet: str
    delays: float = 1

    @property
    def wanted(self) -> str:
        """What it must report."""
        return said_of(self.build, self.fleet)


def deployed(
    endpoint: FunctionEndpoint, role: Role, build: str, fleet: pulumi.Output[str], delays: float
) -> pulumi.Output[str]:
    """The endpoint's URL once it serves `build` for `fleet`; a preview asks nothing. delays: see `limits`."""
    where = f"{role} on {endpoint.cloud}/{endpoint.region}"

    async def check(known: Sequence[str]) -> str:
        url, its_fleet = known
        if not pulumi.runtime.is_dry_run():
            try:
                asked = Function(endpoint.cloud, where, url, build, its_fleet, delays)
                await wait_for_build(asked, get, Clock(), pulumi.log.info)
            except StaleBuildError as error:
                raise pulumi.RunError(str(error)) from None
        return url

    return pulumi.Output.all(endpoint.url, fleet).apply(check)


def all_deployed(
    endpoints: Sequence[FunctionEndpoint], role: Role, build: str, fleet: pulumi.Output[str], delays: float
) -> list[FunctionEndpoint]:
    """The endpoints; each URL resolves once its function serves `build`."""
    return [replace(each, url=deployed(each, role, build, fleet, delays)) for each in endpoints]


async def wait_for_build(function: Function, get: Get, clock: Clock, say: Callable[[str], None]) -> None:
    """Ask `url`/health until it reports the build, at growing pauses; StaleBuildError after the limit."""
    began = clock.now()
    first_s, older_s = limits(function.delays)
    limit_s, said, pause, older = first_s, began, FIRST_PAUSE_S, False
    while True:
        found = await reported(function.url, get)
        if found == function.wanted:
            return
        now = clock.now()
        if found.startswith("build ") and not older:
            older, limit_s = True, now - began + older_s
        if now + pause > began + limit_s:
            raise StaleBuildError(failure(function, found, limit_s))
        if now - said >= SAY_S:
            said = now
            say(
                f"waiting for the {function.where} to serve {function.wanted}: so far {found} "
                f"({now - began:.0f} of at most {limit_s:.0f} s)"
            )
        await clock.sleep(pause)
        pause = min(pause * PAUSE_GROWTH, LONGEST_PAUSE_S)


def limits(delays: float) -> tuple[float, float]:
    """Seconds while nothing has answered, and from the first answer of an older build.

    delays: seconds for each second that something takes in a real cloud; 1 in a real one.
    """
    return max(LEAST_FIRST_S, FIRST_S * delays), max(LEAST_OLDER_S, OLDER_S * delays)


def failure(function: Function, found: str, limit_s: float) -> str:
    """What happened, what was found, what to do."""
    return (
        f"The {function.where} does not serve what was deployed: expected {function.wanted}, found "
        f"{found} at {function.url}/health after {limit_s:.0f} s. Its log says more (`skyfleet logs`); a "
        "cloud that was only slow passes at the next `pulumi up`; `pulumi up --replace URN` of its package "
        f"publishes it again.{hint(function, found)}"
    )


def hint(function: Function, found: str) -> str:
    """What is known of this cloud's ways not to serve."""
    if found.startswith("build "):
        foreign = not found.endswith(f" of fleet {function.fleet}")
        return " A function that is not of this fleet answers at that address." if foreign else ""
    if function.cloud == "azure":
        # MicrosoftDocs/azure-docs, articles/app-service/app-service-key-vault-references.md: an unresolved
        # reference is the setting's value; it is read again after 24 h, at a change of the configuration, or
        # when `refresh` is asked for.
        host = urlsplit(function.url).hostname
        ids = f"az functionapp list --query \"[?defaultHostName=='{host}'].id\" -o tsv"
        again = "config/configreferences/appsettings/refresh?api-version=2022-03-01"
        return (
            " Where its log says that its keys are still a Key Vault reference, the app read its Key Vault "
            "before its role acted, and keeps that for 24 h; to make it read again: "
            f'`az rest --method post --url "https://management.azure.com$({ids})/{again}"`.'
        )
    if function.cloud == "gcp" and "403" in found:
        return " Google says that a new grant (that all may call) acts after 2 minutes, sometimes 7 or more."
    return ""


async def reported(url: str, get: Get) -> str:
    """`build <id> of fleet <id>`, or in words why there is none."""
    try:
        answer: object = json.loads(await get(f"{url}/health"))
    except ValueError:
        return "a reply that is not JSON"
    except OSError as error:
        return f"no answer ({error})"
    said = cast("dict[str, object]", answer) if isinstance(answer, dict) else {}
    build, fleet = said.get("build"), said.get("fleet")
    return said_of(build, fleet) if isinstance(build, str) else "a reply without a build"


def said_of(build: str, fleet: object) -> str:
    """A build and its fleet in words; a function that was started by hand names none."""
    return f"build {build} of {f'fleet {fleet}' if isinstance(fleet, str) and fleet else 'no fleet'}"


async def get(url: str) -> str:
    """The body of a GET; OSError for whatever goes wrong on the way, HTTP errors among them."""
    return await asyncio.get_running_loop().run_in_executor(_threads, _get, url)


def _get(url: str) -> str:
    headers = {"accept": "application/json", "host": urlsplit(url).netloc}
    request = urllib.request.Request(plain(url), headers=headers)  # noqa: S310  # our own URL
    # No proxy reaches this machine's own addresses.
    handlers = [urllib.request.ProxyHandler({})] if is_loopback(url) else []
    with urllib.request.build_opener(*handlers).open(request, timeout=REQUEST_S) as reply:
        return reply.read().decode("utf-8", "replace")
