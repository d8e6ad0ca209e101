"""The whole architecture: one agent on every cloud, routers before them, checkers watching them."""

from __future__ import annotations

import pulumi

from infra import archive, credentials, verify
from infra.clouds import prepare
from infra.contract import Fleet
from infra.errors import InfraError
from infra.settings import read
from infra.specs import Specs


def main() -> None:
    settings = read(pulumi.runtime.get_config_env(), pulumi.get_stack())
    packages = archive.build_all(settings, progress=pulumi.log.debug)

    keys = credentials.create(settings.key_generation)
    fleet = Fleet(settings.stack, settings.prefix, keys.suffix, keys.signing_keys)
    deploy = {place: prepare(fleet, place, settings.project) for place in settings.places}
    specs = Specs(settings, keys, pulumi.Config().get_secret("modelApiKey"))

    agents = [
        deploy[target.place](specs.agent(target.place, packages.of("agent", target.place)))
        for target in settings.targets
    ]
    targets = list(zip(settings.targets, agents, strict=True))
    routers = [
        deploy[place](
            specs.router(place, packages.of("router", place), targets, repeatable=packages.repeatable)
        )
        for place in settings.routers
    ]
    for place in settings.checkers:
        deploy[place](specs.checker(place, packages.of("router", place), targets, routers))

    for agent in agents:
        verify.deployed(agent, "agent", packages.build["agent"])
    router_urls = [verify.deployed(router, "router", packages.build["router"]) for router in routers]

    pulumi.export("routerUrl", router_urls[0])
    pulumi.export("routerUrls", router_urls)
    pulumi.export(
        "agents",
        [
            {"cloud": at.place.cloud, "region": at.place.region, "url": agent.url, "weight": at.weight}
            for at, agent in targets
        ],
    )
    pulumi.export("apiKey", keys.api_key)
    pulumi.export("build", dict(packages.build))


try:
    main()
except InfraError as error:
    raise pulumi.RunError(str(error)) from None
