"""A deployment in which a cloud fails: the others' functions are deployed, and routers use what is there.

`pulumi up --exclude '**skyfleet:gcp:**'` leaves a cloud's resources as they are: the engine neither checks
nor creates them, and ids of those that do not exist are unknown (skipped creates, in pulumi's
pkg/resource/deploy/step_generator.go). A router depends on the URLs of all agents, so one cloud left out
would cost all routers. Here a list of URLs depends only on the functions that are there; in place of the URL
of one that is not stands the one that the stack had before, or nothing. `--continue-on-error` alone does not
do: the engine checks what depends on a failed resource with its unknown inputs left out, and ends there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import cast

import pulumi

from infra.component import FunctionEndpoint

# The former URL of a function of this role, empty when it had none.
PreviousUrl = Callable[[FunctionEndpoint], Awaitable[str]]


def urls(endpoints: Sequence[FunctionEndpoint], former: PreviousUrl) -> pulumi.Output[list[str]]:
    """URL of each function, in order: empty for one that failed and had none. Unknown when all are empty."""
    if pulumi.runtime.is_dry_run():
        return pulumi.Output.all(*(endpoint.url for endpoint in endpoints)).apply(list[str])

    async def one(endpoint: FunctionEndpoint) -> str:
        if await endpoint.url.is_known():
            return cast("str", await endpoint.url.future())
        return await former(endpoint)

    async def every() -> list[str]:
        return list(await asyncio.gather(*map(one, endpoints)))

    async def any_there() -> bool:
        return any(await found)

    async def resources() -> set[pulumi.Resource]:
        there = [endpoint.url for endpoint in endpoints if await endpoint.url.is_known()]
        return {resource for url in there for resource in await url.resources()}

    found = asyncio.ensure_future(every())
    return pulumi.Output(resources(), found, any_there())


@dataclass(slots=True)
class PreviousOutputs:
    """The stack's outputs before this deployment; read only when something failed, since reading registers a
    resource."""

    _stack: pulumi.StackReference | None = None

    def url_in(self, output: str) -> PreviousUrl:
        """Looks functions up in `output`: a list of {cloud, region, url}."""

        async def former(endpoint: FunctionEndpoint) -> str:
            place = (endpoint.cloud, endpoint.region)
            before = await self._read(output)
            return next((each["url"] for each in before if (each["cloud"], each["region"]) == place), "")

        return former

    async def _read(self, name: str) -> list[dict[str, str]]:
        if self._stack is None:
            parts = (pulumi.get_organization(), pulumi.get_project(), pulumi.get_stack())
            self._stack = pulumi.StackReference("/".join(parts))
        found: object = await self._stack.get_output(name).future()
        return cast("list[dict[str, str]]", found) if isinstance(found, list) else []
