"""What the three roles are: agents answer, routers choose, checkers probe. The same on every cloud.

A spec's environment is the contract with functions/ and router/: they read these keys and nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi

from infra.component import FunctionSpec, Role, Store
from infra.config.environment import check_value, compact, targets_value
from infra.config.model import Place, Settings, Target
from infra.keys import Credentials
from infra.package import Package
from skyfleet import contract

MEMORY_MB = 512  # the smallest that Azure offers and that Google gives a whole CPU
REQUEST_S = 230  # the limit of Azure's load balancer, the lowest of the clouds
CONCURRENCY = 40  # requests one instance takes at once where a cloud allows several: they mostly wait
CHECKER_GRACE_S = 30  # for starting up and sending the snapshots
STORES: Mapping[Role, Store] = {"agent": "replies", "router": "health"}


@dataclass(frozen=True, slots=True)
class Roles:
    """Function specs of one stack. model_api_key: of the model the default agent may use."""

    settings: Settings
    credentials: Credentials
    model_api_key: pulumi.Output[str] | None = None

    def agent(self, place: Place, package: Package) -> FunctionSpec:
        environment: dict[str, pulumi.Input[str]] = {}
        if self.settings.agent_pace_ms is not None:
            environment[contract.AGENT_PACE_MS] = f"{self.settings.agent_pace_ms:g}"
        if model := self.settings.model:
            environment |= {contract.MODEL_BASE_URL: model.base_url, contract.MODEL_NAME: model.name}
        secrets = {contract.SIGNING_KEYS: self.credentials.signing_keys("agent", place)}
        if self.model_api_key is not None:
            secrets[contract.MODEL_API_KEY] = self.model_api_key
        return self._spec("agent", "functions.app:create", place, package, environment, secrets)

    def router(
        self,
        place: Place,
        package: Package,
        urls: pulumi.Output[list[str]],
        *,
        repeatable: bool,
    ) -> FunctionSpec:
        """urls: of the agents, in the order of the targets; empty for one that is not there."""
        environment: dict[str, pulumi.Input[str]] = {
            contract.TARGETS: target_list(self.settings.targets, urls, repeatable=repeatable),
            contract.STRATEGY: self.settings.strategy.value,
            contract.API_KEY_SHA256: self.credentials.api_key_sha256,
        }
        if self.settings.open:
            environment[contract.OPEN] = "1"
        if self.settings.policy:
            environment[contract.POLICY] = compact(self.settings.policy)
        secrets = {contract.ROOT_KEYS: self.credentials.root_keys()}
        return self._spec("router", "router.app:create", place, package, environment, secrets)

    def checker(
        self,
        place: Place,
        package: Package,
        urls: pulumi.Output[list[str]],
        routers: pulumi.Output[list[str]],
    ) -> FunctionSpec:
        """urls, routers: of the agents and the routers; empty for one that is not there."""
        # Probing does not depend on weights or prices: leaving them out keeps checkers as they are when one
        # changes.
        even = [Target(target.place, 1) for target in self.settings.targets]
        environment: dict[str, pulumi.Input[str]] = {
            contract.TARGETS: target_list(even, urls, repeatable=False),
            contract.ROUTERS: routers.apply(lambda found: compact([url for url in found if url])),
            contract.CHECK: check_value(self.settings.checks),
        }
        secrets = {contract.SIGNING_KEYS: self.credentials.signing_keys("checker", place)}
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
            contract.FLEET: self.credentials.suffix,
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
            timeout_s=checker_seconds(self.settings) if role == "checker" else REQUEST_S,
            concurrency=1 if role == "checker" else CONCURRENCY,
            secrets=secrets,
        )


def checker_seconds(settings: Settings) -> int:
    """All rounds of one invocation, the last of them waiting for a cold start."""
    checks = settings.checks
    slowest = max(checks.timeout_s, checks.cold_timeout_s)
    return math.ceil(checks.probes * checks.apart_s + slowest) + CHECKER_GRACE_S


def target_list(
    targets: Sequence[Target], urls: pulumi.Output[list[str]], *, repeatable: bool
) -> pulumi.Output[str]:
    """SKYFLEET_TARGETS, when every URL is known: the targets that have one."""

    def listed(found: Sequence[str]) -> str:
        there = [(target, url) for target, url in zip(targets, found, strict=True) if url]
        return targets_value([t for t, _ in there], [url for _, url in there], repeatable=repeatable)

    return urls.apply(listed)
