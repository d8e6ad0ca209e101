"""The Pulumi program: one agent on every cloud, routers in front of them, checkers that probe them."""

from __future__ import annotations

import gc
import os

import pulumi

from infra import engine_log, keys, outputs, partial, preflight, rollout
from infra.clouds import prepare
from infra.component import Fleet
from infra.config.model import Settings
from infra.config.namespace import given_twice
from infra.config.parse import parse_settings
from infra.errors import InfraError
from infra.packaging import Packages, build_all
from infra.roles import Roles
from infra.setup.paths import ROOT


def deploy(settings: Settings, packages: Packages) -> None:
    """Declare agents, then routers (which get the agents' URLs), then checkers (which get both)."""
    secrets = keys.create(settings.key_generation, settings.api_key_generation)
    at = prepare(Fleet(settings.stack, settings.prefix, secrets.suffix), settings)
    roles = Roles(settings, secrets, pulumi.Config().get_secret("modelApiKey"))
    previous = partial.PreviousOutputs()

    agents = [at[place](roles.agent(place, packages.of("agent", place))) for place in settings.places]
    agent_urls = partial.urls(agents, previous.url_in("agents"))
    routers = [
        at[place](roles.router(place, packages.of("router", place), agent_urls, packages.agent))
        for place in settings.routers
    ]
    router_urls = partial.urls(routers, previous.url_in("routers"))
    for place in settings.checkers:
        at[place](roles.checker(place, packages.of("router", place), agent_urls, router_urls))

    rollout.all_deployed(agents, "agent", packages.build["agent"], secrets.suffix, settings.delays)
    serving = rollout.all_deployed(
        routers, "router", packages.build["router"], secrets.suffix, settings.delays
    )
    entrypoints = partial.urls(serving, previous.url_in("routers"))
    outputs.export(settings, agent_urls, entrypoints, secrets.api_key, packages.build)


if __name__ == "__main__":
    # The program runs for seconds and creates ten thousand classes; collections would take a third of that.
    gc.disable()
    try:
        stack = pulumi.get_stack()
        config = {**pulumi.runtime.get_config_env(), **given_twice(ROOT / f"Pulumi.{stack}.yaml")}
        stack_settings = parse_settings(config, stack)
        if stack_settings.emulated:
            engine_log.leave_out_debug()
        preflight.require_shell(stack_settings, os.environ)
        preflight.require_accounts(stack_settings, config, os.environ)
        packages = build_all(stack_settings, progress=pulumi.log.debug)
        for note in [] if stack_settings.emulated else packages.notes:  # `skyfleet up` has told them
            pulumi.log.info(note)
        deploy(stack_settings, packages)
    except preflight.ReportWritten:
        pass
    except InfraError as error:
        raise pulumi.RunError(str(error)) from None
