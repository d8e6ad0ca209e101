"""Storage: accounts with globally unique names, containers, blobs, and signed URLs (SAS).

Limits: learn.microsoft.com/azure/azure-resource-manager/management/resource-name-rules. A deleted account
can be recovered for 14 days, and its name is free at once (learn.microsoft.com/azure/storage/common/
storage-account-recover). Soft delete of blobs is off in an account that Resource Manager creates (it is on
where the portal creates one), so nothing else stays.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import replace
from datetime import UTC, datetime
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from emulator.errors import CloudError
from emulator.providers.azure.common import ACCOUNT, BLOB, CONTAINER, POLICY, Arm, group_id, same_name
from emulator.providers.azure.roles import covers
from emulator.providers.naming import Naming
from emulator.providers.resource_types import Context
from emulator.providers.rules import one_of, pattern, rules
from emulator.providers.storage import objects
from emulator.providers.storage.resource_store import Resource
from emulator.providers.values import Json, Properties, text

API = "2023-11-03"
RECOVERABLE_S = 14 * 86_400.0


def _account(inputs: Properties, context: Context) -> Properties:
    name = text(inputs, "accountName")
    services = ("blob", "queue", "table", "file", "dfs", "web")
    return {
        "primaryEndpoints": {service: f"https://{name}.{service}.core.windows.net/" for service in services},
        "primaryLocation": text(inputs, "location"),
        "provisioningState": "Succeeded",
        "statusOfPrimary": "available",
        "creationTime": context.keep("creationTime", context.timestamp),
        "minimumTlsVersion": inputs.get("minimumTlsVersion", "TLS1_0"),
        "enableHttpsTrafficOnly": inputs.get("enableHttpsTrafficOnly", True),
        "privateEndpointConnections": [],
    }


def _allowed_by_policy(inputs: Properties, context: Context) -> None:
    """Refuses an account that a tenant's policy denies: one with shared keys, which are on unless set."""
    if inputs.get("allowSharedKeyAccess") is False:
        return
    place = group_id(text(inputs, "resourceGroupName"))
    for resource in context.all(POLICY):
        denies = text(resource.inputs, "parameters", "effect", "value") == "Deny"
        if denies and covers(text(resource.inputs, "scope"), place):
            raise CloudError(
                "RequestDisallowedByPolicy",
                f"Resource '{inputs['accountName']}' was disallowed by policy. Policy identifiers: "
                f"'Storage accounts should prevent shared key access' ({resource.id}).",
            )


def _deleted_account(resource: Resource, context: Context) -> None:
    name = text(resource.outputs, "name")
    context.leave(resource.key, f"storage account {name}, which can be recovered", seconds=RECOVERABLE_S)


def _account_key(inputs: Properties, context: Context) -> None:
    context.private.setdefault("key", base64.b64encode(context.machine.entropy(64)).decode())


def account(context: Context, name: str) -> Resource:
    resource = same_name(context, ACCOUNT, "accountName", name)
    if resource is None:
        raise CloudError("ResourceNotFound", f"The storage account '{name}' was not found.")
    return resource


def _account_exists(inputs: Properties, context: Context) -> None:
    account(context, text(inputs, "accountName"))


def _container(inputs: Properties, context: Context) -> Properties:
    return {
        "etag": context.keep("etag", lambda: f'"0x{context.hex(16).upper()}"'),
        "leaseState": "Available",
        "leaseStatus": "Unlocked",
        "lastModifiedTime": context.timestamp(),
        "hasImmutabilityPolicy": False,
        "hasLegalHold": False,
        "publicAccess": inputs.get("publicAccess", "None"),
    }


def _public_access(inputs: Properties, context: Context) -> None:
    owner = account(context, text(inputs, "accountName"))
    if text(inputs, "publicAccess") not in ("", "None") and not owner.inputs.get("allowBlobPublicAccess"):
        raise CloudError(
            "PublicAccessNotPermitted", "Public access is not permitted on this storage account."
        )


def _make_folder(inputs: Properties, context: Context) -> None:
    name = f"{text(inputs, 'accountName')}/{text(inputs, 'containerName')}"
    objects.make_bucket(context.machine, "azure", name)


def _remove_container(resource: Resource, context: Context) -> None:
    """Removes the container with its blobs, as Azure does."""
    account_name, name = text(resource.inputs, "accountName"), text(resource.inputs, "containerName")
    objects.remove_bucket(context.machine.buckets / "azure" / account_name / name, context)


def _may_upload(inputs: Properties, context: Context) -> None:
    owner = account(context, text(inputs, "accountName"))
    if owner.inputs.get("allowSharedKeyAccess") is False:
        raise CloudError(
            "KeyBasedAuthenticationNotPermitted",
            f"Key based authentication is not permitted on {owner.outputs['name']}, and the provider's Blob "
            "uploads with a key: leave allowSharedKeyAccess on for this account.",
        )
    wanted = f"{owner.id}/blobServices/default/containers/{inputs['containerName']}"
    if not any(resource.id.casefold() == wanted.casefold() for resource in context.all(CONTAINER)):
        raise CloudError("ContainerNotFound", f"The specified container does not exist: {wanted}")


def _upload(inputs: Properties, context: Context) -> None:
    bucket = f"{inputs['accountName']}/{inputs['containerName']}"
    target = objects.object_path(context.machine, "azure", bucket, text(inputs, "blobName"))
    objects.remember(objects.upload(inputs, target, context), target, context)


def _blob(inputs: Properties, context: Context) -> Properties:
    host = f"https://{inputs['accountName']}.blob.core.windows.net"
    return {
        "url": f"{host}/{inputs['containerName']}/{quote(text(inputs, 'blobName'))}",
        "type": inputs.get("type", "Block"),
        "contentType": inputs.get("contentType", "application/octet-stream"),
    }


_BLOB = Arm(
    BLOB,
    "Microsoft.Storage/storageAccounts/{accountName}/blobServices/default"
    "/containers/{containerName}/blobs/{blobName}",
    Naming("blobName", "exact", 1024),
    _blob,
    fixed=("type",),
    refers=_may_upload,
    effects=_upload,
    located=False,
)

RESOURCE_TYPES = (
    replace(
        Arm(
            ACCOUNT,
            "Microsoft.Storage/storageAccounts/{accountName}",
            Naming("accountName", "plain", 24),
            _account,
            unique=True,
            fixed=("isHnsEnabled",),
            rules=pattern("accountName", r"[a-z0-9]{3,24}", "must be 3 to 24 lower-case letters and digits"),
            refers=_allowed_by_policy,
            effects=_account_key,
            exists="StorageAccountAlreadyTaken",
        ).resource_type(),
        on_delete=_deleted_account,
    ),
    replace(
        Arm(
            CONTAINER,
            "Microsoft.Storage/storageAccounts/{accountName}/blobServices/default/containers/{containerName}",
            Naming("containerName", "plain", 63),
            _container,
            rules=pattern(
                "containerName",
                r"\$web|\$root|(?!.*--)[a-z0-9][a-z0-9-]{1,61}[a-z0-9]",
                "must be 3 to 63 lower-case letters, digits or single hyphens",
            ),
            refers=_public_access,
            effects=_make_folder,
            located=False,
        ).resource_type(),
        on_delete=_remove_container,
    ),
    replace(_BLOB.resource_type(), on_delete=objects.delete_object, alive=objects.object_alive),
    Arm(
        "azure-native:storage:ManagementPolicy",
        "Microsoft.Storage/storageAccounts/{accountName}/managementPolicies/{managementPolicyName}",
        Naming("managementPolicyName", "fixed", fixed="default"),
        lambda inputs, context: {"lastModifiedTime": context.timestamp()},
        rules=rules(one_of("managementPolicyName", "default")),
        refers=_account_exists,
        located=False,
    ).resource_type(),
)


def service_sas(inputs: Properties, context: Context) -> Properties:
    """Signs a URL below the account with its key; the same request gets the same signature."""
    owner = account(context, text(inputs, "accountName"))
    token = {
        "sv": API,
        "sr": text(inputs, "resource"),
        "spr": text(inputs, "protocols"),
        "se": text(inputs, "sharedAccessExpiryTime"),
        "sp": text(inputs, "permissions"),
    }
    token = {name: value for name, value in token.items() if value}
    token["sig"] = _signature(owner, text(inputs, "canonicalizedResource"), token)
    return {"serviceSasToken": urlencode(token)}


def account_keys(inputs: Properties, context: Context) -> Properties:
    value: Json = account(context, text(inputs, "accountName")).private["key"]
    return {"keys": [{"keyName": "key1", "permissions": "FULL", "value": value, "creationTime": ""}]}


def signed_blob(address: str, context: Context) -> Resource:
    """The blob behind a signed URL. Raises what an anonymous reader would get."""
    parts = urlsplit(address)
    name = (parts.hostname or "").removesuffix(".blob.core.windows.net")
    owner = same_name(context, ACCOUNT, "accountName", name)
    container, _, blob = unquote(parts.path).lstrip("/").partition("/")
    where = f"{parts.scheme}://{parts.netloc}{parts.path}"
    if owner is None:
        raise CloudError("PackageUriNotReachable", f"{where}: no storage account {name!r}")
    token = dict(parse_qsl(parts.query))
    signature = token.pop("sig", "")
    if owner.inputs.get("allowSharedKeyAccess") is False:
        raise CloudError("KeyBasedAuthenticationNotPermitted", f"{where}: the account allows no shared key")
    expected = _signature(owner, f"/blob/{name}/{container}/{blob}", token)
    if not (hmac.compare_digest(signature, expected) and "r" in token.get("sp", "")):
        raise CloudError("AuthenticationFailed", f"{where}: no signature (SAS) in it that opens this blob")
    if _ended(token.get("se", ""), context):
        raise CloudError("AuthenticationFailed", f"{where}: its signature ended at {token.get('se')}")
    wanted = f"{owner.id}/blobServices/default/containers/{container}/blobs/{blob}".casefold()
    resource = next((resource for resource in context.all(BLOB) if resource.id.casefold() == wanted), None)
    if resource is None or not objects.object_alive(resource, context.machine):
        raise CloudError("BlobNotFound", f"{where}: the specified blob does not exist")
    return resource


def _ended(text_of_time: str, context: Context) -> bool:
    try:
        end = datetime.fromisoformat(text_of_time)
    except ValueError:
        return True
    return (end if end.tzinfo else end.replace(tzinfo=UTC)) <= context.machine.now()


def _signature(owner: Resource, resource: str, token: dict[str, str]) -> str:
    said = "\n".join([resource, *(f"{name}={token[name]}" for name in sorted(token))])
    key = base64.b64decode(owner.private["key"])
    return base64.b64encode(hmac.digest(key, said.encode(), hashlib.sha256)).decode()
