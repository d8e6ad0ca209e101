"""The whole architecture: one agent on every cloud, routers before them, checkers watching them."""

from __future__ import annotations

import os

import pulumi

from infra import credentials, preflight, verify
from infra.archive import Packages, build_all
from infra.clouds import prepare
from infra.contract import Fleet
from infra.errors import InfraError
from infra.settings import Settings, read
from infra.specs import Specs


def deploy(settings: Settings, packages: Packages) -> None:
    keys = credentials.create(settings.key_generation)
    fleet = Fleet(settings.stack, settings.prefix, keys.suffix)
    at = prepare(fleet, settings)
    specs = Specs(settings, keys, pulumi.Config().get_secret("modelApiKey"))

    agents = [
        at[target.place](specs.agent(target.place, packages.of("agent", target.place)))
        for target in settings.targets
    ]
    targets = list(zip(settings.targets, agents, strict=True))
    routers = [
        at[place](specs.router(place, packages.of("router", place), targets, repeatable=packages.repeatable))
        for place in settings.routers
    ]
    for place in settings.checkers:
        at[place](specs.checker(place, packages.of("router", place), targets, routers))

    for agent in agents:
        verify.deployed(agent, "agent", packages.build["agent"], keys.suffix)
    router_urls = [
        verify.deployed(router, "router", packages.build["router"], keys.suffix) for router in routers
    ]

    pulumi.export("routerUrl", router_urls[0])
    pulumi.export("routerUrls", router_urls)
    pulumi.export(
        "routers",
        [
            {"cloud": place.cloud, "region": place.region, "url": url}
            for place, url in zip(settings.routers, router_urls, strict=True)
        ],
    )
    pulumi.export(
        "agents",
        [
            {"cloud": t.place.cloud, "region": t.place.region, "url": agent.url, "weight": t.weight}
            for t, agent in targets
        ],
    )
    pulumi.export("apiKey", keys.api_key)
    pulumi.export("build", dict(packages.build))


if __name__ == "__main__":
    try:
        config = pulumi.runtime.get_config_env()
        stack_settings = read(config, pulumi.get_stack())
        preflight.need_aim(stack_settings, os.environ)
        preflight.need_accounts(stack_settings, config, os.environ)
        deploy(stack_settings, build_all(stack_settings, progress=pulumi.log.debug))
    except preflight.Ended:
        pass
    except InfraError as error:
        raise pulumi.RunError(str(error)) from None
