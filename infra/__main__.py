"""The whole architecture: one agent on every cloud, routers before them, checkers watching them."""

from __future__ import annotations

import os
from dataclasses import replace

import pulumi

from infra import partial, preflight, rollout
from infra.clouds import prepare
from infra.component import Fleet
from infra.config.model import Settings
from infra.config.parse import parse_settings
from infra.errors import InfraError
from infra.keys import create as create_keys
from infra.packaging import Packages, build_all
from infra.roles import Specs


def deploy(settings: Settings, packages: Packages) -> None:
    keys = create_keys(settings.key_generation)
    fleet = Fleet(settings.stack, settings.prefix, keys.suffix)
    at = prepare(fleet, settings)
    specs = Specs(settings, keys, pulumi.Config().get_secret("modelApiKey"))

    agents = [
        at[target.place](specs.agent(target.place, packages.of("agent", target.place)))
        for target in settings.targets
    ]
    last = partial.LastDeployment()
    agent_urls = partial.urls(agents, last.url_in("agents"))
    routers = [
        at[place](
            specs.router(place, packages.of("router", place), agent_urls, repeatable=packages.repeatable)
        )
        for place in settings.routers
    ]
    router_urls = partial.urls(routers, last.url_in("routers"))
    for place in settings.checkers:
        at[place](specs.checker(place, packages.of("router", place), agent_urls, router_urls))

    for agent in agents:
        rollout.deployed(agent, "agent", packages.build["agent"], keys.suffix, settings.delays)
    verified = [
        replace(
            router,
            url=rollout.deployed(router, "router", packages.build["router"], keys.suffix, settings.delays),
        )
        for router in routers
    ]
    entrypoints = partial.urls(verified, last.url_in("routers"))

    pulumi.export("routerUrl", entrypoints.apply(lambda urls: next(filter(None, urls))))
    pulumi.export("routerUrls", entrypoints.apply(lambda urls: list(filter(None, urls))))
    pulumi.export("routers", entrypoints.apply(lambda urls: partial.listed(settings.routers, urls)))
    pulumi.export("agents", agent_urls.apply(lambda urls: partial.listed(settings.targets, urls)))
    pulumi.export("apiKey", keys.api_key)
    pulumi.export("build", dict(packages.build))


if __name__ == "__main__":
    try:
        config = pulumi.runtime.get_config_env()
        stack_settings = parse_settings(config, pulumi.get_stack())
        preflight.need_aim(stack_settings, os.environ)
        preflight.need_accounts(stack_settings, config, os.environ)
        deploy(stack_settings, build_all(stack_settings, progress=pulumi.log.debug))
    except preflight.Ended:
        pass
    except InfraError as error:
        raise pulumi.RunError(str(error)) from None
