"""Azure resources as desired state: function apps with a package, roles on storage as grants.

Grants name containers as `account/container` and whole accounts as `account/*`. Settings are those that the
platform resolved when the site was last configured (`providers/azure/references`), for one day. Timers are
declared in the code, so there are no schedules here.
"""

from __future__ import annotations

from collections.abc import Iterator

from emulator.desired.common import Part, ResourceView, addresses_of, port_of, role_of
from emulator.desired.model import Function, Grant
from emulator.providers.azure.common import (
    ACCOUNT,
    CONTAINER,
    IDENTITY,
    ROLE_ASSIGNMENT,
    SECRET,
    SITE,
)
from emulator.providers.azure.references import Reader, secret_value
from emulator.providers.azure.roles import BLOB_ROLES, covers
from emulator.providers.azure.roles import role_of as role_name
from emulator.providers.azure.settings import app_settings
from emulator.providers.storage.resource_store import Resource
from emulator.providers.values import fields, items, number, text

# Default of concurrent HTTP requests per instance, by memory
# (learn.microsoft.com/azure/azure-functions/functions-concurrency).
CONCURRENCY = {512: 4, 2048: 16, 4096: 32}
ANSWER_S = 230.0  # the load balancer's idle limit; functionTimeout does not raise it


def derive(view: ResourceView) -> Part:
    sites = [resource for resource in view.all(SITE) if resource.private.get("package")]
    return Part(
        functions=tuple(_function(resource, view) for resource in sites),
        buckets=tuple(view.bucket("azure", _container(resource)) for resource in view.all(CONTAINER)),
        secrets={
            text(r.outputs, "properties", "secretUri"): secret_value(r, "") or "" for r in view.all(SECRET)
        },
        grants=tuple(dict.fromkeys(_grants(view))),
    )


def _container(resource: Resource) -> str:
    return f"{resource.inputs['accountName']}/{resource.inputs['containerName']}"


def _function(resource: Resource, view: ResourceView) -> Function:
    region = text(resource.outputs, "location").replace(" ", "").lower()
    scale = fields(resource.inputs, "functionAppConfig", "scaleAndConcurrency")
    memory = int(number(scale, "instanceMemoryMB", default=2048))
    concurrency = number(
        scale, "triggers", "http", "perInstanceConcurrency", default=CONCURRENCY.get(memory, 16)
    )
    runtime = fields(resource.inputs, "functionAppConfig", "runtime")
    return Function(
        key=f"azure/{region}/{resource.outputs['name']}",
        cloud="azure",
        region=region,
        name=resource.outputs["name"],
        role=role_of(resource, "tags"),
        package=view.package(resource),
        package_hash=resource.private["package"],
        entry="",
        environment=_environment(resource, view),
        port=port_of(resource),
        closed=_closed(resource),
        principal=_principal(resource, view),
        memory_mb=memory,
        timeout_s=ANSWER_S,
        concurrency=int(concurrency),
        max_instances=int(number(scale, "maximumInstanceCount", default=100)),
        runtime=f"{text(runtime, 'name')}{text(runtime, 'version')}",
        resource=resource.id,
        addresses=addresses_of(text(resource.outputs, "defaultHostName")),
    )


def _closed(resource: Resource) -> str | None:
    if resource.inputs.get("enabled") is False:
        return "the site is stopped (enabled is false)"
    if text(resource.inputs, "publicNetworkAccess") == "Disabled":
        return "public network access is disabled"
    if text(resource.inputs, "siteConfig", "ipSecurityRestrictionsDefaultAction") == "Deny":
        return "access restrictions deny every caller (ipSecurityRestrictionsDefaultAction)"
    return None


def _identities(resource: Resource, view: ResourceView) -> dict[str, str]:
    """Client id -> principal id of the site's user-assigned identities, in the given order."""
    wanted = [str(id).casefold() for id in items(resource.inputs, "identity", "userAssignedIdentities")]
    resources = {identity.id.casefold(): identity.outputs for identity in view.all(IDENTITY)}
    return {
        text(resources[id], "clientId"): text(resources[id], "principalId")
        for id in wanted
        if id in resources
    }


def _principal(resource: Resource, view: ResourceView) -> str:
    """The principal of the code's tokens: the identity that its settings name, the first one, or
    the site's.
    """
    assigned, settings = _identities(resource, view), app_settings(resource.inputs)
    for name in ("AZURE_CLIENT_ID", "AzureWebJobsStorage__clientId"):
        if settings.get(name) in assigned:
            return assigned[str(settings[name])]
    return next(iter(assigned.values()), "") or text(resource.outputs, "identity", "principalId")


def _environment(resource: Resource, view: ResourceView) -> dict[str, str]:
    kept = fields(resource.private, "settings")
    if kept and view.now < number(resource.private, "settingsUntil"):
        return {name: str(value) for name, value in kept.items()}
    reader = Reader(view.resources, tuple(view.effective(ROLE_ASSIGNMENT)))
    return reader.settings(resource.inputs, text(resource.outputs, "identity", "principalId"))


def _grants(view: ResourceView) -> Iterator[Grant]:
    for resource in view.effective(ROLE_ASSIGNMENT):
        actions = BLOB_ROLES.get(role_name(text(resource.inputs, "roleDefinitionId")) or "", ())
        for name in _covered(text(resource.inputs, "scope"), view) if actions else ():
            for action in actions:
                yield Grant(text(resource.inputs, "principalId"), action, name)


def _covered(scope: str, view: ResourceView) -> Iterator[str]:
    for account in view.all(ACCOUNT):
        if covers(scope, account.id):
            yield f"{account.outputs['name']}/*"
    for container in view.all(CONTAINER):
        if scope.casefold() == container.id.casefold():
            yield _container(container)
