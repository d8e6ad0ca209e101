"""The azure-native provider: a function app on Flex Consumption and what it needs."""

from __future__ import annotations

from collections.abc import Mapping

from emulator.errors import CloudError
from emulator.providers.azure import access, monitoring, storage, vaults, web
from emulator.providers.azure.common import CLIENT, GROUP, OPERATOR, SUBSCRIPTION, TENANT, same_name
from emulator.providers.registry import Invoke
from emulator.providers.resource_types import Context
from emulator.providers.values import Json, Properties, text

RESOURCE_TYPES = (
    *monitoring.RESOURCE_TYPES,
    *storage.RESOURCE_TYPES,
    *access.RESOURCE_TYPES,
    *vaults.RESOURCE_TYPES,
    *web.RESOURCE_TYPES,
)
DEFAULTS: Mapping[str, Json] = {}


def _client(inputs: Properties, context: Context) -> Properties:
    return {
        "clientId": CLIENT,
        "objectId": OPERATOR,
        "subscriptionId": SUBSCRIPTION,
        "tenantId": TENANT,
    }


def _group(inputs: Properties, context: Context) -> Properties:
    """The error code says why a group is not returned:
    learn.microsoft.com/azure/azure-resource-manager/troubleshooting/error-not-found.
    """
    name = text(inputs, "resourceGroupName")
    found = same_name(context, GROUP, "name", name)
    if found is None:
        raise CloudError(
            "ResourceGroupNotFound",
            f'Status=404 Code="ResourceGroupNotFound" group {name} could not be found',
        )
    return found.outputs


INVOKES: Mapping[str, Invoke] = {
    "azure-native:authorization:getClientConfig": _client,
    "azure-native:resources:getResourceGroup": _group,
    "azure-native:storage:listStorageAccountKeys": storage.account_keys,
    "azure-native:storage:listStorageAccountServiceSAS": storage.service_sas,
    "azure-native:web:listWebAppHostKeys": web.host_keys,
}
