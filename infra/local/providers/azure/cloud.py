"""Microsoft Azure as far as the sky has it: a function app on Flex Consumption and everything around it."""

from __future__ import annotations

from collections.abc import Mapping

from infra.local.providers.azure import access, monitoring, storage, vaults, web
from infra.local.providers.azure.common import CLIENT, OPERATOR, SUBSCRIPTION, TENANT
from infra.local.providers.kinds import Context
from infra.local.providers.registry import Invoke
from infra.local.providers.values import Json, Properties

KINDS = (*monitoring.KINDS, *storage.KINDS, *access.KINDS, *vaults.KINDS, *web.KINDS)
DEFAULTS: Mapping[str, Json] = {}


def _client(inputs: Properties, context: Context) -> Properties:
    return {
        "clientId": CLIENT,
        "objectId": OPERATOR,
        "subscriptionId": SUBSCRIPTION,
        "tenantId": TENANT,
    }


INVOKES: Mapping[str, Invoke] = {
    "azure-native:authorization:getClientConfig": _client,
    "azure-native:storage:listStorageAccountKeys": storage.account_keys,
    "azure-native:storage:listStorageAccountServiceSAS": storage.service_sas,
    "azure-native:web:listWebAppHostKeys": web.host_keys,
}
