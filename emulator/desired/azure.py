"""Azure's table as a world: function apps that have taken a package, roles on storage as grants.

Grants name containers as `account/container`, whole accounts as `account/*`. Settings are those that the
platform resolved when the site was last configured (`providers/azure/references`), until a day is over.
Timers live in the code: no schedules here.
"""

from __future__ import annotations

from collections.abc import Iterator

from emulator.desired.common import Part, Tables, addresses_of, port_of, role_of
from emulator.desired.state import Function, Grant
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
from emulator.providers.table import Row
from emulator.providers.values import fields, items, number, text

# HTTP requests one instance takes at once unless said otherwise, by memory
# (learn.microsoft.com/azure/azure-functions/functions-concurrency).
CONCURRENCY = {512: 4, 2048: 16, 4096: 32}
ANSWER_S = 230.0  # the load balancer's idle limit, whatever functionTimeout says


def derive(tables: Tables) -> Part:
    sites = [row for row in tables.all(SITE) if row.private.get("package")]
    return Part(
        functions=tuple(_function(row, tables) for row in sites),
        buckets=tuple(tables.bucket("azure", _container(row)) for row in tables.all(CONTAINER)),
        secrets={
            text(r.outputs, "properties", "secretUri"): secret_value(r, "") or "" for r in tables.all(SECRET)
        },
        grants=tuple(dict.fromkeys(_grants(tables))),
    )


def _container(row: Row) -> str:
    return f"{row.inputs['accountName']}/{row.inputs['containerName']}"


def _function(row: Row, tables: Tables) -> Function:
    region = text(row.outputs, "location").replace(" ", "").lower()
    scale = fields(row.inputs, "functionAppConfig", "scaleAndConcurrency")
    memory = int(number(scale, "instanceMemoryMB", default=2048))
    concurrency = number(
        scale, "triggers", "http", "perInstanceConcurrency", default=CONCURRENCY.get(memory, 16)
    )
    runtime = fields(row.inputs, "functionAppConfig", "runtime")
    return Function(
        key=f"azure/{region}/{row.outputs['name']}",
        cloud="azure",
        region=region,
        name=row.outputs["name"],
        role=role_of(row, "tags"),
        package=tables.package(row),
        package_hash=row.private["package"],
        entry="",
        environment=_environment(row, tables),
        port=port_of(row),
        closed=_closed(row),
        principal=_principal(row, tables),
        memory_mb=memory,
        timeout_s=ANSWER_S,
        concurrency=int(concurrency),
        max_instances=int(number(scale, "maximumInstanceCount", default=100)),
        runtime=f"{text(runtime, 'name')}{text(runtime, 'version')}",
        resource=row.id,
        addresses=addresses_of(text(row.outputs, "defaultHostName")),
    )


def _closed(row: Row) -> str | None:
    if row.inputs.get("enabled") is False:
        return "the site is stopped (enabled is false)"
    if text(row.inputs, "publicNetworkAccess") == "Disabled":
        return "public network access is disabled"
    if text(row.inputs, "siteConfig", "ipSecurityRestrictionsDefaultAction") == "Deny":
        return "access restrictions deny every caller (ipSecurityRestrictionsDefaultAction)"
    return None


def _identities(row: Row, tables: Tables) -> dict[str, str]:
    """Client id -> principal id of the site's user-assigned identities, in the order given."""
    wanted = [str(id).casefold() for id in items(row.inputs, "identity", "userAssignedIdentities")]
    rows = {identity.id.casefold(): identity.outputs for identity in tables.all(IDENTITY)}
    return {text(rows[id], "clientId"): text(rows[id], "principalId") for id in wanted if id in rows}


def _principal(row: Row, tables: Tables) -> str:
    """The principal of the code's tokens: the identity its settings name, else the first, else the site's."""
    assigned, settings = _identities(row, tables), app_settings(row.inputs)
    for name in ("AZURE_CLIENT_ID", "AzureWebJobsStorage__clientId"):
        if settings.get(name) in assigned:
            return assigned[str(settings[name])]
    return next(iter(assigned.values()), "") or text(row.outputs, "identity", "principalId")


def _environment(row: Row, tables: Tables) -> dict[str, str]:
    kept = fields(row.private, "settings")
    if kept and tables.now < number(row.private, "settingsUntil"):
        return {name: str(value) for name, value in kept.items()}
    reader = Reader(tables.rows, tuple(tables.effective(ROLE_ASSIGNMENT)))
    return reader.settings(row.inputs, text(row.outputs, "identity", "principalId"))


def _grants(tables: Tables) -> Iterator[Grant]:
    for row in tables.effective(ROLE_ASSIGNMENT):
        actions = BLOB_ROLES.get(role_name(text(row.inputs, "roleDefinitionId")) or "", ())
        for resource in _covered(text(row.inputs, "scope"), tables) if actions else ():
            for action in actions:
                yield Grant(text(row.inputs, "principalId"), action, resource)


def _covered(scope: str, tables: Tables) -> Iterator[str]:
    for account in tables.all(ACCOUNT):
        if covers(scope, account.id):
            yield f"{account.outputs['name']}/*"
    for container in tables.all(CONTAINER):
        if scope.casefold() == container.id.casefold():
            yield _container(container)
