"""The end of a deployment: each public function must report the build and the fleet that were deployed.

A cloud may report success and still serve the old package, or a function of another fleet may answer at the
URL (two fleets on one machine share its ports). Then `pulumi up` fails here and names the cloud and what it
found.

Limits (the emulator scales them with its delays: `limits`)
- FIRST_S until the first answer. Google: a grant takes effect after 2 minutes, sometimes 7 or more
  (cloud.google.com/iam/docs/access-change-propagation). Azure: an instance must start with the new package
  first (azure-functions-host #10169: fixed delays race).
- OLDER_S from the first answer of an older build: the function runs, and its cloud has to switch over.
A message every LOG_EVERY_S says what is awaited. A function is polled until it reports the new build once;
that may be a cold start, so the next request finds a warm instance.
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
# On the emulator the delays are short, but functions still take time to start.
MIN_FIRST_S, MIN_OLDER_S = 60.0, 20.0
LOG_EVERY_S = 30.0
FIRST_PAUSE_S, PAUSE_GROWTH, LONGEST_PAUSE_S = 0.1, 1.6, 5.0
REQUEST_S = 15.0

Get = Callable[[str], Awaitable[str]]

# Its own threads: Pulumi's calls use those of the event loop, and a function may be polled for minutes.
_threads = ThreadPoolExecutor(16, thread_name_prefix="rollout")


@dataclass(frozen=True, slots=True)
class Clock:
    """Time as an argument, so that tests need none."""

    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep


@dataclass(frozen=True, slots=True)
class Function:
    """A function to poll, and the build and fleet that it must report."""

    cloud: Cloud
    where: str
    url: str
    build: str
    fleet: str
    delays: float = 1

    @property
    def expected(self) -> str:
        """What the function must report."""
        return describe(self.build, self.fleet)


def deployed(
    endpoint: FunctionEndpoint, role: Role, build: str, fleet: pulumi.Output[str], delays: float
) -> pulumi.Output[str]:
    """The endpoint's URL, known when it serves `build` for `fleet`. A preview does not poll.

    delays: see `limits`.
    """
    where = f"{role} on {endpoint.cloud}/{endpoint.region}"

    async def check(known: Sequence[str]) -> str:
        url, fleet_id = known
        if not pulumi.runtime.is_dry_run():
            try:
                function = Function(endpoint.cloud, where, url, build, fleet_id, delays)
                await wait_for_build(function, get, Clock(), pulumi.log.info)
            except StaleBuildError as error:
                raise pulumi.RunError(str(error)) from None
        return url

    return pulumi.Output.all(endpoint.url, fleet).apply(check)


def all_deployed(
    endpoints: Sequence[FunctionEndpoint], role: Role, build: str, fleet: pulumi.Output[str], delays: float
) -> list[FunctionEndpoint]:
    """The endpoints; each URL resolves once its function serves `build`."""
    return [replace(each, url=deployed(each, role, build, fleet, delays)) for each in endpoints]


async def wait_for_build(function: Function, get: Get, clock: Clock, log: Callable[[str], None]) -> None:
    """Poll `url`/health with growing pauses until it reports the build. Raises StaleBuildError."""
    began = clock.now()
    first_s, older_s = limits(function.delays)
    limit_s, logged, pause, older = first_s, began, FIRST_PAUSE_S, False
    while True:
        found = await reported(function.url, get)
        if found == function.expected:
            return
        now = clock.now()
        if found.startswith("build ") and not older:
            older, limit_s = True, now - began + older_s
        if now + pause > began + limit_s:
            raise StaleBuildError(failure(function, found, limit_s))
        if now - logged >= LOG_EVERY_S:
            logged = now
            log(
                f"waiting for the {function.where} to serve {function.expected}: so far {found} "
                f"({now - began:.0f} of at most {limit_s:.0f} s)"
            )
        await clock.sleep(pause)
        pause = min(pause * PAUSE_GROWTH, LONGEST_PAUSE_S)


def limits(delays: float) -> tuple[float, float]:
    """Seconds until the first answer, and from the first answer of an older build.

    delays: the emulator's time scale, seconds for each second in a real cloud; 1 in a real cloud.
    """
    return max(MIN_FIRST_S, FIRST_S * delays), max(MIN_OLDER_S, OLDER_S * delays)


def failure(function: Function, found: str, limit_s: float) -> str:
    """The message of the error: what happened, what was found, what to do."""
    return (
        f"The {function.where} does not serve what was deployed: expected {function.expected}, found "
        f"{found} at {function.url}/health after {limit_s:.0f} s. Its log says more (`skyfleet logs`); a "
        "slow cloud passes at the next `pulumi up`; `pulumi up --replace URN` of its package "
        f"publishes it again.{hint(function, found)}"
    )


def hint(function: Function, found: str) -> str:
    """A known reason of this cloud, with what to do; else empty."""
    if found.startswith("build "):
        foreign = not found.endswith(f" of fleet {function.fleet}")
        return " A function that is not of this fleet answers at that address." if foreign else ""
    if function.cloud == "azure":
        # MicrosoftDocs/azure-docs, articles/app-service/app-service-key-vault-references.md: an unresolved
        # reference is the setting's value; it is read again after 24 h, at a change of the configuration, or
        # when `refresh` is asked for.
        host = urlsplit(function.url).hostname
        ids = f"az functionapp list --query \"[?defaultHostName=='{host}'].id\" -o tsv"
        refresh = "config/configreferences/appsettings/refresh?api-version=2022-03-01"
        return (
            " Where its log says that its keys are still a Key Vault reference, the app read its Key Vault "
            "before its role took effect, and keeps that for 24 h. To make it read again: "
            f'`az rest --method post --url "https://management.azure.com$({ids})/{refresh}"`.'
        )
    if function.cloud == "gcp" and "403" in found:
        return " At Google a new grant (that all may call) takes effect after 2 minutes, sometimes 7 or more."
    return ""


async def reported(url: str, get: Get) -> str:
    """`build <id> of fleet <id>`, or why the function reports none."""
    try:
        answer: object = json.loads(await get(f"{url}/health"))
    except ValueError:
        return "a reply that is not JSON"
    except OSError as error:
        return f"no answer ({error})"
    health = cast("dict[str, object]", answer) if isinstance(answer, dict) else {}
    build, fleet = health.get("build"), health.get("fleet")
    return describe(build, fleet) if isinstance(build, str) else "a reply without a build"


def describe(build: str, fleet: object) -> str:
    """`build <id> of fleet <id>`; a function that was started manually has no fleet."""
    return f"build {build} of {f'fleet {fleet}' if isinstance(fleet, str) and fleet else 'no fleet'}"


async def get(url: str) -> str:
    """The body of a GET. Raises OSError for any failure, HTTP errors included."""
    return await asyncio.get_running_loop().run_in_executor(_threads, _get, url)


def _get(url: str) -> str:
    headers = {"accept": "application/json", "host": urlsplit(url).netloc}
    request = urllib.request.Request(plain(url), headers=headers)  # noqa: S310  # our own URL
    # A proxy cannot reach addresses of this machine.
    handlers = [urllib.request.ProxyHandler({})] if is_loopback(url) else []
    with urllib.request.build_opener(*handlers).open(request, timeout=REQUEST_S) as reply:
        return reply.read().decode("utf-8", "replace")
