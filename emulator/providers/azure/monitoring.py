"""Resource groups and monitoring: workspaces, Application Insights, alerts, diagnostics.

A deleted workspace stays recoverable for 14 days; a new one of the same name in the same group restores it
(learn.microsoft.com/azure/azure-monitor/logs/delete-workspace).
"""

from __future__ import annotations

from dataclasses import replace

from emulator.errors import CloudError
from emulator.providers.azure.common import GROUP, TENANT, Arm, group_id, need_id
from emulator.providers.naming import Naming
from emulator.providers.resource_types import Context, ResourceType
from emulator.providers.rules import between, one_of, pattern, rule, rules
from emulator.providers.storage.resource_store import Resource
from emulator.providers.values import Properties, items, text

RECOVERABLE_S = 14 * 86_400.0
WORKSPACE = "azure-native:operationalinsights:Workspace"


def _group(inputs: Properties, context: Context) -> Properties:
    return {
        "id": group_id(text(inputs, "resourceGroupName")),
        "name": inputs["resourceGroupName"],
        "type": "Microsoft.Resources/resourceGroups",
        "properties": {"provisioningState": "Succeeded"},
    }


def _group_rules(inputs: Properties, context: Context) -> None:
    where = text(inputs, "location") or text(dict(context.config), "location")
    if not where:
        raise CloudError("LocationRequired", "The location property is required for this definition.")


def _workspace(inputs: Properties, context: Context) -> Properties:
    return {
        "customerId": context.keep("customerId", context.uuid),
        "provisioningState": "Succeeded",
        "retentionInDays": inputs.get("retentionInDays", 30),
        "createdDate": context.keep("createdDate", context.timestamp),
        "modifiedDate": context.timestamp(),
    }


def _deleted_workspace(resource: Resource, context: Context) -> None:
    name = text(resource.outputs, "name")
    context.leave(resource.key, f"log workspace {name}, soft-deleted with its logs", seconds=RECOVERABLE_S)


def _insights(inputs: Properties, context: Context) -> Properties:
    key = context.keep("instrumentationKey", context.uuid)
    app = context.keep("appId", context.uuid)
    endpoint = f"https://{text(inputs, 'location') or 'global'}.in.applicationinsights.azure.com/"
    return {
        "instrumentationKey": key,
        "appId": app,
        "applicationId": inputs["resourceName"],
        "connectionString": f"InstrumentationKey={key};IngestionEndpoint={endpoint};ApplicationId={app}",
        "tenantId": TENANT,
        "provisioningState": "Succeeded",
        "creationDate": context.keep("creationDate", context.timestamp),
    }


def _workspace_exists(inputs: Properties, context: Context) -> None:
    wanted = text(inputs, "workspaceResourceId")
    if wanted:
        need_id(context, wanted)


def _scopes_exist(inputs: Properties, context: Context) -> None:
    for scope in items(inputs, "scopes"):
        need_id(context, str(scope), "ResourceNotFound")


def _diagnosed(inputs: Properties, context: Context) -> None:
    need_id(context, text(inputs, "resourceUri"))
    _destinations_exist(inputs, context)


def _destinations_exist(inputs: Properties, context: Context) -> None:
    for prop in ("workspaceId", "storageAccountId"):
        if inputs.get(prop) is not None:
            need_id(context, text(inputs, prop))
    if not any(inputs.get(p) for p in ("workspaceId", "storageAccountId", "eventHubAuthorizationRuleId")):
        raise CloudError("BadRequest", "At least one data sink needs to be specified.")


def _diagnostic(inputs: Properties, context: Context) -> Properties:
    path = f"{inputs['resourceUri']}/providers/microsoft.insights/diagnosticSettings/{inputs['name']}"
    return {"id": path, "type": "Microsoft.Insights/diagnosticSettings"}


def _empty(resource: Resource, context: Context) -> None:
    """Refuses to delete a group with content. Azure would delete the content too, and other stacks would lose
    it.
    """
    inside = [
        r.id for r in context.resources.values() if r.id.casefold().startswith(f"{resource.id.casefold()}/")
    ]
    if inside:
        raise CloudError(
            "ResourceGroupBeingUsed",
            f"{resource.id} still holds {len(inside)} resources, such as {inside[0]}",
        )


_PERIOD = rule(
    "windowSize",
    lambda value: value in ("PT1M", "PT5M", "PT15M", "PT30M", "PT1H", "PT6H", "PT12H", "P1D"),
    "must be one of PT1M, PT5M, PT15M, PT30M, PT1H, PT6H, PT12H, P1D",
)

RESOURCE_TYPES = (
    ResourceType(
        GROUP,
        lambda inputs, _: f"azure{group_id(text(inputs, 'resourceGroupName'))}".casefold(),
        _group,
        naming=Naming("resourceGroupName", "plain", 90),
        force_new=frozenset(("resourceGroupName", "location")),
        rules=pattern(
            "resourceGroupName", r"[\w.()-]{0,89}[\w()-]", "must be 1 to 90 letters, digits or _.()-"
        ),
        refers=_group_rules,
        on_delete=_empty,
        exists="Conflict",
    ),
    replace(
        Arm(
            WORKSPACE,
            "Microsoft.OperationalInsights/workspaces/{workspaceName}",
            Naming("workspaceName", "plain", 63),
            _workspace,
            rules=rules(
                pattern(
                    "workspaceName",
                    r"[a-zA-Z0-9][a-zA-Z0-9-]{2,61}[a-zA-Z0-9]",
                    "must be 4 to 63 letters, digits, hyphens",
                ),
                rule(
                    "retentionInDays",
                    lambda days: days == 7 or 30 <= days <= 730,
                    "must be 30 to 730 days (7 on the free tier)",
                ),
            ),
        ).resource_type(),
        on_delete=_deleted_workspace,
    ),
    Arm(
        "azure-native:applicationinsights:Component",
        "Microsoft.Insights/components/{resourceName}",
        Naming("resourceName", "plain", 255),
        _insights,
        fixed=("kind",),
        refers=_workspace_exists,
    ).resource_type(),
    Arm(
        "azure-native:monitor:MetricAlert",
        "Microsoft.Insights/metricAlerts/{ruleName}",
        Naming("ruleName", "plain", 260),
        lambda inputs, context: {"lastUpdatedTime": context.timestamp()},
        rules=rules(
            between("severity", 0, 4),
            _PERIOD,
            one_of("evaluationFrequency", "PT1M", "PT5M", "PT15M", "PT30M", "PT1H"),
        ),
        refers=_scopes_exist,
    ).resource_type(),
    ResourceType(
        "azure-native:monitor:DiagnosticSetting",
        lambda inputs, _: f"azure{inputs['resourceUri']}/diagnosticSettings/{inputs['name']}".casefold(),
        _diagnostic,
        naming=Naming("name", "plain", 128),
        force_new=frozenset(("name", "resourceUri")),
        refers=_diagnosed,
        exists="Conflict",
    ),
)
