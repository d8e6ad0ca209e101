"""The outputs of the stack, which `pulumi stack output` prints and the command line reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pulumi

from infra.config.model import Place, Settings, Target
from infra.package import Kind

Urls = pulumi.Output[list[str]]


def export(
    settings: Settings, agents: Urls, routers: Urls, api_key: pulumi.Output[str], build: Mapping[Kind, str]
) -> None:
    """Export the outputs.

    agents, routers: URLs in the order of the settings; empty for a function that is not deployed. routerUrl
    is the first router, routerUrls are all routers, in the order in which clients should try them. namePrefix
    is the beginning of all names, which the next deployment compares (infra/preflight/rename.py).
    """
    pulumi.export("routerUrl", routers.apply(lambda urls: next(filter(None, urls))))
    pulumi.export("routerUrls", routers.apply(lambda urls: list(filter(None, urls))))
    pulumi.export("routers", routers.apply(lambda urls: listed(settings.routers, urls)))
    pulumi.export("agents", agents.apply(lambda urls: listed(settings.targets, urls)))
    pulumi.export("apiKey", api_key)
    pulumi.export("build", dict(build))
    pulumi.export("namePrefix", settings.prefix)


def listed(entries: Sequence[Place | Target], urls: Sequence[str]) -> list[dict[str, object]]:
    """The deployed routers or targets as JSON objects."""
    return [
        {
            "cloud": place.cloud,
            "region": place.region,
            "url": url,
            **({"weight": entry.weight} if isinstance(entry, Target) else {}),
        }
        for entry, url in zip(entries, urls, strict=True)
        if url
        for place in (entry.place if isinstance(entry, Target) else entry,)
    ]
