"""A deployment without a failed cloud: the functions of the others are deployed, and routers use those.

`pulumi up --exclude '**skyfleet:gcp:**'` leaves the resources of a cloud as they are. The engine neither
checks nor creates them, and ids of missing ones are unknown (skipped creates, in pulumi's
pkg/resource/deploy/step_generator.go). A router depends on the URLs of all agents and would not be deployed
either. Here a list of URLs depends only on existing functions. A missing function has the URL that the stack
had before, or an empty one. `--continue-on-error` is not enough: the engine checks a dependent of a
failed resource without the unknown inputs, and ends there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import cast

import pulumi

from infra.component import FunctionEndpoint

# The previous URL of a function of this role; empty if it had none.
PreviousUrl = Callable[[FunctionEndpoint], Awaitable[str]]


def urls(endpoints: Sequence[FunctionEndpoint], previous: PreviousUrl) -> pulumi.Output[list[str]]:
    """The URL of each function, in order; empty for a failed one without a previous URL.

    The list is unknown when all are empty.
    """
    if pulumi.runtime.is_dry_run():
        return pulumi.Output.all(*(endpoint.url for endpoint in endpoints)).apply(list[str])

    async def one(endpoint: FunctionEndpoint) -> str:
        if await endpoint.url.is_known():
            return cast("str", await endpoint.url.future())
        return await previous(endpoint)

    async def every() -> list[str]:
        return list(await asyncio.gather(*map(one, endpoints)))

    async def any_known() -> bool:
        return any(await found)

    async def resources() -> set[pulumi.Resource]:
        known = [endpoint.url for endpoint in endpoints if await endpoint.url.is_known()]
        return {resource for url in known for resource in await url.resources()}

    found = asyncio.ensure_future(every())
    return pulumi.Output(resources(), found, any_known())


@dataclass(slots=True)
class PreviousOutputs:
    """The outputs of the stack before this deployment. They are read only after a failure, since that
    registers a resource.
    """

    _stack: pulumi.StackReference | None = None

    def url_in(self, output: str) -> PreviousUrl:
        """A function that finds a URL in `output`, a list of {cloud, region, url}."""

        async def previous(endpoint: FunctionEndpoint) -> str:
            place = (endpoint.cloud, endpoint.region)
            before = await self._read(output)
            return next((each["url"] for each in before if (each["cloud"], each["region"]) == place), "")

        return previous

    async def _read(self, name: str) -> list[dict[str, str]]:
        if self._stack is None:
            parts = (pulumi.get_organization(), pulumi.get_project(), pulumi.get_stack())
            self._stack = pulumi.StackReference("/".join(parts))
        found: object = await self._stack.get_output(name).future()
        return cast("list[dict[str, str]]", found) if isinstance(found, list) else []
