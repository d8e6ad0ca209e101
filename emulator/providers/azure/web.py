"""App Service: Flex Consumption plans, function apps, and the deployment of a package.

Sources: learn.microsoft.com/azure/azure-functions/flex-consumption-plan (sizes, bounds, regions, forbidden
settings; an exhausted regional quota slows an app down and fails no deployment), the ARM reference of
Microsoft.Web/sites/extensions (onedeploy). The emulator's host names: addresses.py.

A deployment writes the package to the site's container with the site's own identity: 403 while its role
is not in effect (github.com/Azure/azure-functions-core-tools/issues/4346, and
nathanmcnulty/defender-reporting PR #49). The site's deployment endpoint answers 200 even then, and the
failure is in the state of the deployment that it names; Resource Manager, which the program uses, ends its
deployment as failed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import cast

from emulator.errors import CloudError
from emulator.providers import addresses
from emulator.providers.azure.common import (
    CONTAINER,
    DEPLOYMENT,
    IDENTITY,
    PLAN,
    ROLE_ASSIGNMENT,
    SITE,
    TENANT,
    Arm,
    by_id,
    location,
    need_id,
    same_name,
)
from emulator.providers.azure.references import KEPT_S, Reader
from emulator.providers.azure.roles import WRITE_BLOB_ROLES, has_role
from emulator.providers.azure.settings import app_settings
from emulator.providers.azure.storage import signed_blob
from emulator.providers.naming import Naming
from emulator.providers.resource_types import Context
from emulator.providers.rules import Rule, between, one_of, pattern, rules
from emulator.providers.schema import Failure
from emulator.providers.storage import objects
from emulator.providers.storage.resource_store import Resource
from emulator.providers.values import (
    Json,
    Properties,
    at,
    fields,
    has_unknown,
    is_unknown,
    items,
    number,
    text,
)

ONE_DEPLOY = "Microsoft.Web/sites/extensions"
PYTHONS = ("3.10", "3.11", "3.12", "3.13", "3.14")
ZIPPED_MB, UNZIPPED_MB = 1024, 4096  # no limit is documented for Flex; these protect the disk
# Where the plan is offered: `az functionapp list-flexconsumption-locations`.
FLEX_REGIONS = """
    australiacentral australiaeast australiasoutheast brazilsouth canadacentral canadaeast centralindia
    centralus eastasia eastus eastus2 francecentral germanywestcentral israelcentral italynorth japaneast
    japanwest koreacentral koreasouth mexicocentral newzealandnorth northcentralus northeurope norwayeast
    polandcentral southafricanorth southcentralus southeastasia southindia spaincentral swedencentral
    switzerlandnorth uaenorth uksouth ukwest westcentralus westeurope westus westus2 westus3
"""
MOST_INSTANCES = 1000
# Flex reads these from functionAppConfig and fails a deployment that sets them.
FORBIDDEN_SETTINGS = ("FUNCTIONS_WORKER_RUNTIME", "WEBSITE_RUN_FROM_PACKAGE", "FUNCTIONS_EXTENSION_VERSION")


def _settings_rules(inputs: Properties) -> Iterator[Failure]:
    path, settings = "siteConfig.appSettings", app_settings(inputs)
    for name in FORBIDDEN_SETTINGS:
        if name in settings:
            yield Failure(path, f"{name} is not allowed on Flex Consumption; functionAppConfig says it")
    if at(inputs, "siteConfig", "linuxFxVersion") is not None:
        yield Failure("siteConfig.linuxFxVersion", "not allowed here: functionAppConfig.runtime says it")
    names = [text(setting, "name") for setting in items(inputs, "siteConfig", "appSettings")]
    for name in sorted({name for name in names if names.count(name) > 1 and name}):
        yield Failure(path, f"{name} is given twice")


def _config_rules(inputs: Properties) -> Iterator[Failure]:
    config = inputs.get("functionAppConfig")
    if config is None and "functionapp" in (text(inputs, "kind") or "functionapp"):
        yield Failure("functionAppConfig", "missing: a site on Flex Consumption needs it")
    parts = ("deployment.storage.authentication", "runtime", "scaleAndConcurrency")
    for path in parts if config is not None else ():
        if not is_unknown(config) and at(config, *path.split(".")) is None:
            yield Failure(f"functionAppConfig.{path}", "missing: Flex Consumption needs it")


_SCALE = "functionAppConfig.scaleAndConcurrency"
# Groups of functions that scale together; other names are `function:NAME`
# (learn.microsoft.com/azure/azure-functions/flex-consumption-how-to, "Set always ready instances").
ALWAYS_READY_GROUPS = ("http", "blob", "durable")


def _always_ready_rules(inputs: Properties) -> Iterator[Failure]:
    path = f"{_SCALE}.alwaysReady"
    for each in items(inputs, *path.split(".")):
        name, count = text(each, "name"), number(each, "instanceCount", default=0)
        if name not in ALWAYS_READY_GROUPS and not name.startswith("function:"):
            groups = ", ".join(ALWAYS_READY_GROUPS)
            yield Failure(path, f"name must be one of {groups} or function:NAME, got {name!r}")
        if not 0 <= count <= MOST_INSTANCES:
            yield Failure(path, f"instanceCount must be 0 to {MOST_INSTANCES}, got {count!r}")


_AUTHENTICATION = "functionAppConfig.deployment.storage.authentication.type"
_SITE_RULES: Rule = rules(
    pattern("name", r"[a-zA-Z0-9][a-zA-Z0-9-]{0,58}[a-zA-Z0-9]", "must be 2 to 60 letters, digits, hyphens"),
    one_of("functionAppConfig.runtime.name", "python"),
    one_of(_AUTHENTICATION, "UserAssignedIdentity", "SystemAssignedIdentity"),
    one_of("functionAppConfig.runtime.version", *PYTHONS),
    one_of(f"{_SCALE}.instanceMemoryMB", 512, 2048, 4096),
    between(f"{_SCALE}.maximumInstanceCount", 40, MOST_INSTANCES),
    between(f"{_SCALE}.triggers.http.perInstanceConcurrency", 1, 1000),
    _always_ready_rules,
    _settings_rules,
    _config_rules,
)


def _offered(inputs: Properties, context: Context) -> None:
    region = location(inputs, context).replace(" ", "").lower()
    if region not in FLEX_REGIONS.split():
        raise CloudError("BadRequest", f"The plan FlexConsumption is not offered in the region '{region}'.")


def _plan_exists(inputs: Properties, context: Context) -> None:
    plan = need_id(context, text(inputs, "serverFarmId"))
    if plan.token != PLAN:
        raise CloudError("BadRequest", f"serverFarmId '{plan.id}' is no plan")


def _site_refers(inputs: Properties, context: Context) -> None:
    if inputs.get("serverFarmId") is None:
        raise CloudError("BadRequest", "a function app on Flex Consumption needs serverFarmId")
    _plan_exists(inputs, context)
    identities = [str(id) for id in items(inputs, "identity", "userAssignedIdentities")]
    for id in [*identities, text(inputs, "keyVaultReferenceIdentity")]:
        if id and id != "SystemAssigned":
            need_id(context, id, "FailedIdentityOperation")
    _package_container(inputs, context)


def _package_container(inputs: Properties, context: Context) -> Resource:
    """The container that a deployment of the site with these inputs writes to."""
    address = text(inputs, "functionAppConfig", "deployment", "storage", "value")
    found = re.fullmatch(r"https://([a-z0-9]+)\.blob\.core\.windows\.net/([a-z0-9-]+)/?", address)
    for resource in context.all(CONTAINER):
        named = (text(resource.inputs, "accountName"), text(resource.inputs, "containerName"))
        if found is not None and (found[1], found[2]) == named:
            return resource
    raise CloudError(
        "BadRequest", f"functionAppConfig.deployment.storage.value: no blob container at '{address}'"
    )


def _may_write_package(resource: Resource, context: Context) -> None:
    """Refuses a deployment while the role of the site's identity on its container is not in effect."""
    container = _package_container(resource.inputs, context)
    means = fields(resource.inputs, "functionAppConfig", "deployment", "storage", "authentication")
    principal = text(resource.outputs, "identity", "principalId")
    if text(means, "type") == "UserAssignedIdentity":
        named = by_id(context, text(means, "userAssignedIdentityResourceId"))
        principal = text(named.outputs, "principalId") if named and named.token == IDENTITY else ""
    acting = (each for each in context.all(ROLE_ASSIGNMENT) if context.effective(each))
    if not has_role(acting, principal, WRITE_BLOB_ROLES, container.id):
        raise CloudError(
            "DeploymentFailed",
            "BlobUploadFailedException: Failed to upload blob package to storage account with Error: "
            "Response status code does not indicate success: 403 (This request is not authorized to perform "
            f"this operation.). Site {resource.outputs['name']}, container {container.id}",
        )


def _site_identity(inputs: Properties, context: Context) -> Properties:
    given = fields(inputs, "identity")
    if not given:
        return {}
    assigned: Properties = {}
    for id in (str(id) for id in items(given, "userAssignedIdentities")):
        resource = by_id(context, id)
        known: Properties = resource.outputs if resource else {}
        assigned[id] = {"clientId": text(known, "clientId"), "principalId": text(known, "principalId")}
    identity: Properties = {"type": given.get("type"), "userAssignedIdentities": assigned}
    if "SystemAssigned" in text(given, "type"):
        earlier = text(context.old.outputs, "identity", "principalId") if context.old else ""
        identity |= {"principalId": earlier or context.uuid(), "tenantId": TENANT}
    return {"identity": identity}


def _site(inputs: Properties, context: Context) -> Properties:
    scope = text(inputs, "autoGeneratedDomainNameLabelScope")
    host = f"{addresses.site(text(inputs, 'name'), text(inputs, 'location'), scope)}:{context.port()}"
    context.private.setdefault("hostKey", context.hex(40))
    context.private.setdefault("masterKey", context.hex(40))
    identity = _site_identity(inputs, context)
    _resolve(inputs, text(identity, "identity", "principalId"), context)
    return {
        "defaultHostName": host,
        "hostNames": [host],
        "enabledHostNames": [host],
        "repositorySiteName": inputs["name"],
        "resourceGroup": inputs["resourceGroupName"],
        "state": "Running",
        "usageState": "Normal",
        "availabilityState": "Normal",
        "sku": "FlexConsumption",
        "kind": inputs.get("kind", "functionapp,linux"),
        "outboundIpAddresses": "127.0.0.1",
        "possibleOutboundIpAddresses": "127.0.0.1",
        "lastModifiedTimeUtc": context.timestamp(),
        **identity,
    }


def _resolve(inputs: Properties, principal: str, context: Context) -> None:
    """Resolves the references in the settings after a change of configuration, and caches them for a day."""
    acting = tuple(resource for resource in context.all(ROLE_ASSIGNMENT) if context.effective(resource))
    context.private["settings"] = Reader(context.resources, acting).settings(inputs, principal)
    context.private["settingsUntil"] = context.machine.clock() + context.machine.scaled(KEPT_S)


def site(context: Context, name: str) -> Resource:
    resource = same_name(context, SITE, "name", name)
    if resource is None:
        raise CloudError("ResourceNotFound", f"The Resource 'Microsoft.Web/sites/{name}' was not found.")
    return resource


def _publishing(name: str, what: str) -> Arm:
    return Arm(
        f"azure-native:web:{name}",
        f"Microsoft.Web/sites/{{name}}/basicPublishingCredentialsPolicies/{what}",
        refers=lambda inputs, context: _is_there(site(context, text(inputs, "name"))),
        located=False,
    )


def _is_there(resource: Resource) -> None:
    """The look-up is the whole check."""


def host_keys(inputs: Properties, context: Context) -> Properties:
    private = site(context, text(inputs, "name")).private
    functions = {"default": private["hostKey"]}
    return {"masterKey": private["masterKey"], "functionKeys": functions, "systemKeys": {}}


def _site_parts(resource: Resource, context: Context) -> Iterator[str]:
    """Child resources of a site are deleted with it; the record of a deployment belongs to the group and
    stays (learn.microsoft.com/azure/azure-resource-manager/management/delete-resource-group).
    """
    inside = f"{resource.id}/".casefold()
    return (each.key for each in context.resources.values() if each.id.casefold().startswith(inside))


def _template_resources(inputs: Properties) -> list[Properties]:
    return [cast("Properties", r) for r in items(inputs, "properties", "template", "resources")]


def _deployment_rules(inputs: Properties) -> Iterator[Failure]:
    path = "properties.template"
    template = at(inputs, *path.split("."))
    if template is None:
        yield Failure(path, "missing: the emulator deploys inline templates only")
    elif not is_unknown(template) and not has_unknown(at(template, "resources")):
        for index, resource in enumerate(_template_resources(inputs)):
            kind, name = text(resource, "type"), text(resource, "name")
            if kind != ONE_DEPLOY or not re.fullmatch(r"[^/]+/onedeploy", name):
                what = f"{kind} named {name!r}"
                yield Failure(
                    f"{path}.resources[{index}]",
                    f"the emulator deploys {ONE_DEPLOY} named 'SITE/onedeploy' only, got {what}",
                )
    if text(inputs, "properties", "mode") == "Complete":
        yield Failure("properties.mode", "the emulator deploys in mode Incremental only")


def _resolved(value: Json, parameters: Properties, template: Properties) -> str:
    """A template's text with `[parameters('x')]` replaced; other expressions are refused."""
    said = str(value)
    if not said.startswith("[") or said.startswith("[["):
        return said
    found = re.fullmatch(r"\[parameters\('([^']+)'\)\]", said)
    if found is None:
        raise CloudError("InvalidTemplate", f"the emulator resolves [parameters('name')] only, got {said}")
    given = at(parameters, found[1], "value")
    result = at(template, "parameters", found[1], "defaultValue") if given is None else given
    if result is None:
        raise CloudError("InvalidTemplate", f"the template parameter '{found[1]}' has no value")
    return str(result)


def _one_deploy(inputs: Properties, context: Context) -> None:
    """Gives each site its new package; the site keeps it when the record of the deployment is deleted."""
    template, parameters = (
        fields(inputs, "properties", "template"),
        fields(inputs, "properties", "parameters"),
    )
    for entry in _template_resources(inputs):
        name = _resolved(entry.get("name"), parameters, template).partition("/")[0]
        resource = site(context, name)
        _may_write_package(resource, context)
        if at(entry, "properties", "remoteBuild") is True:
            raise CloudError("BadRequest", "the emulator takes built packages: set remoteBuild to false")
        blob = signed_blob(_resolved(at(entry, "properties", "packageUri"), parameters, template), context)
        package = objects.object_file(blob, context.machine)
        limits = (ZIPPED_MB, UNZIPPED_MB)
        sha256 = str(blob.private["sha256"])
        taken = replace(context, private={})
        objects.keep_package(package, sha256, taken, limits)
        context.extra.append(replace(resource, private={**resource.private, "package": sha256}))


def _deployed(inputs: Properties, context: Context) -> Properties:
    template = fields(inputs, "properties", "template")
    properties = {
        "mode": text(inputs, "properties", "mode"),
        "provisioningState": "Succeeded",
        "correlationId": context.uuid(),
        "timestamp": context.timestamp(),
        "duration": "PT1S",
        "outputs": fields(template, "outputs"),
    }
    return {"properties": properties}


RESOURCE_TYPES = (
    Arm(
        PLAN,
        "Microsoft.Web/serverfarms/{name}",
        Naming("name", "plain", 60),
        lambda inputs, context: {
            "status": "Ready",
            "resourceGroup": inputs["resourceGroupName"],
            "provisioningState": "Succeeded",
            "numberOfSites": sum(
                text(resource.inputs, "serverFarmId") != "" for resource in context.all(SITE)
            ),
        },
        fixed=("reserved", "hyperV", "isXenon"),
        refers=_offered,
        rules=rules(
            pattern("name", r"[a-zA-Z0-9-]{1,60}", "must be 1 to 60 letters, digits or hyphens"),
            one_of("sku.name", "FC1"),
            one_of("sku.tier", "FlexConsumption"),
            one_of("reserved", True),
        ),
    ).resource_type(),
    replace(
        Arm(
            SITE,
            "Microsoft.Web/sites/{name}",
            Naming("name", "plain", 60),
            _site,
            unique=True,
            rules=_SITE_RULES,
            refers=_site_refers,
            volatile=("lastModifiedTimeUtc", "identity"),
            exists="Conflict",
        ).resource_type(),
        parts=_site_parts,
    ),
    _publishing("WebAppFtpAllowed", "ftp").resource_type(),
    _publishing("WebAppScmAllowed", "scm").resource_type(),
    Arm(
        DEPLOYMENT,
        "Microsoft.Resources/deployments/{deploymentName}",
        Naming("deploymentName", "plain", 64),
        _deployed,
        rules=rules(
            pattern("deploymentName", r"[\w.()-]{1,64}", "must be 1 to 64 letters, digits or _.()-"),
            _deployment_rules,
        ),
        effects=_one_deploy,
        located=False,
        volatile=("properties",),
    ).resource_type(),
)
