"""The function specs of the three roles, the same on every cloud: agent, router, checker.

The environment of a spec is the contract with functions/ and router/, which read no other keys.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import pulumi

from infra.component import FunctionSpec, Role, Store
from infra.config.environment import check_value, compact, targets_value
from infra.config.model import Place, Settings, Target
from infra.keys import StackKeys
from infra.package import AgentInfo, Package
from skyfleet import contract

MEMORY_MB = 512  # the smallest that Azure offers and that Google gives a whole CPU
CHECKER_GRACE_S = 30  # for starting up and sending the snapshots
STORES: Mapping[Role, Store] = {"agent": "replies", "router": "health"}


@dataclass(frozen=True, slots=True)
class Roles:
    """The function specs of one stack. model_api_key: for the model of the default agent."""

    settings: Settings
    keys: StackKeys
    model_api_key: pulumi.Output[str] | None = None

    def agent(self, place: Place, package: Package) -> FunctionSpec:
        environment: dict[str, pulumi.Input[str]] = {}
        if self.settings.agent_pace_ms is not None:
            environment[contract.AGENT_PACE_MS] = f"{self.settings.agent_pace_ms:g}"
        if model := self.settings.model:
            environment |= {contract.MODEL_BASE_URL: model.base_url, contract.MODEL_NAME: model.name}
        secrets = {contract.SIGNING_KEYS: self.keys.signing_keys("agent", place)}
        if self.model_api_key is not None:
            secrets[contract.MODEL_API_KEY] = self.model_api_key
        spec = self._spec("agent", "functions.app:create", place, package, environment, secrets)
        sizes = self.settings.target(place).instances
        return replace(
            spec,
            memory_mb=sizes.memory_mb or spec.memory_mb,
            concurrency=sizes.concurrency or spec.concurrency,
            min_instances=sizes.min_instances or 0,
            max_instances=sizes.max_instances,
        )

    def router(
        self,
        place: Place,
        package: Package,
        urls: pulumi.Output[list[str]],
        agent: AgentInfo,
    ) -> FunctionSpec:
        """The spec of a router. urls: of the agents, in the order of the targets; empty for a missing one.
        agent: what the check of its package found."""
        environment: dict[str, pulumi.Input[str]] = {
            contract.TARGETS: target_list(self.settings.targets, urls, repeatable=agent.repeatable),
            contract.STRATEGY: self.settings.strategy.value,
            contract.API_KEY_SHA256: self.keys.api_key_sha256,
            contract.AGENT_KIND: agent.kind,
            contract.CHECKERS: ",".join(map(str, self.settings.checkers)),
        }
        if self.settings.open:
            environment[contract.OPEN] = "1"
        if self.settings.public_url:
            environment[contract.PUBLIC_URL] = self.settings.public_url
        if self.settings.cors_origins:
            environment[contract.CORS_ORIGINS] = compact(self.settings.cors_origins)
        if self.settings.policy:
            environment[contract.POLICY] = compact(self.settings.policy)
        secrets = {contract.ROOT_KEYS: self.keys.root_keys()}
        return self._spec("router", "router.app:create", place, package, environment, secrets)

    def checker(
        self,
        place: Place,
        package: Package,
        urls: pulumi.Output[list[str]],
        routers: pulumi.Output[list[str]],
    ) -> FunctionSpec:
        """The spec of a checker. urls, routers: of agents and routers; empty for a missing one."""
        # Probes do not depend on weights or prices. Without them a change of one leaves the checkers alone.
        even = [Target(target.place, 1) for target in self.settings.targets]
        environment: dict[str, pulumi.Input[str]] = {
            contract.TARGETS: target_list(even, urls, repeatable=False),
            contract.ROUTERS: routers.apply(lambda found: compact([url for url in found if url])),
            contract.CHECK: check_value(self.settings.checks),
        }
        secrets = {contract.SIGNING_KEYS: self.keys.signing_keys("checker", place)}
        return self._spec("checker", "router.checker:create", place, package, environment, secrets)

    def _spec(
        self,
        role: Role,
        app: str,
        place: Place,
        package: Package,
        environment: Mapping[str, pulumi.Input[str]],
        secrets: Mapping[str, pulumi.Input[str]],
    ) -> FunctionSpec:
        common: dict[str, pulumi.Input[str]] = {
            contract.CLOUD: place.cloud,
            contract.REGION: place.region,
            contract.ROLE: role,
            contract.APP: app,
            contract.FLEET: self.keys.suffix,
            contract.KEY_GENERATION: str(self.settings.key_generation),
        }
        return FunctionSpec(
            role=role,
            package=package,
            environment={**common, **environment},
            public=role != "checker",
            schedule=role == "checker",
            stores=STORES.get(role),
            memory_mb=MEMORY_MB,
            timeout_s=checker_seconds(self.settings) if role == "checker" else contract.REQUEST_S,
            concurrency=1 if role == "checker" else contract.INSTANCE_CONCURRENCY,
            secrets=secrets,
        )


def checker_seconds(settings: Settings) -> int:
    """The timeout of a checker: all probes of one run, the last of them with a cold start."""
    checks = settings.checks
    slowest = max(checks.timeout_s, checks.cold_timeout_s)
    return math.ceil(checks.probes * checks.apart_s + slowest) + CHECKER_GRACE_S


def target_list(
    targets: Sequence[Target], urls: pulumi.Output[list[str]], *, repeatable: bool
) -> pulumi.Output[str]:
    """SKYFLEET_TARGETS, known when every URL is known: the targets that have a URL."""

    def listed(found: Sequence[str]) -> str:
        deployed = [(target, url) for target, url in zip(targets, found, strict=True) if url]
        return targets_value([t for t, _ in deployed], [url for _, url in deployed], repeatable=repeatable)

    return urls.apply(listed)
