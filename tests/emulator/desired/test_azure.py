"""Tests of the desired state of Azure's resources: packages, Key Vault references, roles."""

from __future__ import annotations

from typing import Any

import pytest

from emulator.desired.model import Grant
from emulator.providers.azure import common as azure
from emulator.providers.storage.resource_store import Resource
from tests.emulator.resources import desired, only, resource

pytestmark = pytest.mark.pure

GROUP = azure.group_id("fleet")
VAULT = f"{GROUP}/providers/Microsoft.KeyVault/vaults/vault"
ACCOUNT = f"{GROUP}/providers/Microsoft.Storage/storageAccounts/store"
CONTAINER = f"{ACCOUNT}/blobServices/default/containers/health"
IDENTITY = f"{GROUP}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/agent"
SECRET_URI = "https://vault.vault.azure.net/secrets/keys"
GONE = f"@Microsoft.KeyVault(SecretUri={SECRET_URI}/v9)"
SECRETS_USER = "4633458b-17de-408a-b875-0445c86b69e6"
BLOB_CONTRIBUTOR = "ba92f5b4-2d11-453d-a403-e96b0029c9fe"


def site(private: dict[str, Any] | None = None, **settings: str) -> Resource:
    listed = [{"name": name, "value": value} for name, value in settings.items()]
    inputs: dict[str, Any] = {
        "name": "agent",
        "identity": {"type": "UserAssigned", "userAssignedIdentities": [IDENTITY]},
        "keyVaultReferenceIdentity": IDENTITY,
        "siteConfig": {"appSettings": listed},
        "functionAppConfig": {
            "runtime": {"name": "python", "version": "3.13"},
            "scaleAndConcurrency": {"instanceMemoryMB": 2048, "maximumInstanceCount": 40},
        },
        "tags": {"skyfleet-role": "router"},
    }
    kept = {"package": "ef" * 32, "port": 4003} if private is None else private
    return resource(azure.SITE, "site", inputs, outputs={"location": "West Europe"}, private=kept)


def vault() -> tuple[Resource, ...]:
    """A vault with one secret of two versions, and the site's identity."""
    values = {"version": "v2", "values": {"v1": "old", "v2": "new"}}
    return (
        resource(
            azure.VAULT,
            VAULT,
            {"properties": {"enableRbacAuthorization": True}},
        ),
        resource(
            azure.SECRET,
            f"{VAULT}/secrets/keys",
            {"properties": {"value": "new"}},
            outputs={"properties": {"secretUri": SECRET_URI}},
            private=values,
        ),
        resource(azure.IDENTITY, IDENTITY, {}, outputs={"clientId": "client", "principalId": "principal"}),
    )


def assignment(role: str, scope: str, principal: str = "principal") -> Resource:
    inputs = {
        "principalId": principal,
        "scope": scope,
        "roleDefinitionId": f"/providers/Microsoft.Authorization/roleDefinitions/{role}",
    }
    return resource(azure.ROLE_ASSIGNMENT, f"{role}{scope}{principal}", inputs)


def storage() -> tuple[Resource, ...]:
    return (
        resource(azure.ACCOUNT, ACCOUNT, {"accountName": "store"}, outputs={"name": "store"}),
        resource(azure.CONTAINER, CONTAINER, {"accountName": "store", "containerName": "health"}),
    )


def test_a_site_without_a_package_does_not_run() -> None:
    """A function app exists before its first deployment and has no function."""
    assert desired(site(private={"port": 4003})).functions == ()


def test_a_site_has_its_configuration() -> None:
    """Size and limits come from functionAppConfig; the region in the key has Azure's short form."""
    function = only(desired(site(AA="b"), *vault()))
    assert (function.key, function.role, function.port) == ("azure/westeurope/agent", "router", 4003)
    assert (function.memory_mb, function.concurrency, function.max_instances) == (2048, 16, 40)
    assert (function.principal, function.environment, function.closed) == ("principal", {"AA": "b"}, None)


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        (f"@Microsoft.KeyVault(SecretUri={SECRET_URI})", "new"),
        (f"@Microsoft.KeyVault(SecretUri={SECRET_URI}/v1)", "old"),
        ("@Microsoft.KeyVault(VaultName=vault;SecretName=keys)", "new"),
        ("@Microsoft.KeyVault(VaultName=vault;SecretName=keys;SecretVersion=v2)", "new"),
        (GONE, GONE),
    ],
)
def test_a_key_vault_reference_is_resolved_by_an_identity_that_may(reference: str, expected: str) -> None:
    """A reference may have a version, a URL or names; an unresolvable one stays as it is."""
    resources = (site(KEYS=reference), *vault(), assignment(SECRETS_USER, f"{VAULT}/secrets/keys"))
    assert only(desired(*resources)).environment == {"KEYS": expected}


@pytest.mark.parametrize(
    ("role", "scope", "principal"),
    [
        (BLOB_CONTRIBUTOR, VAULT, "principal"),
        (SECRETS_USER, f"{VAULT}-2", "principal"),
        (SECRETS_USER, VAULT, "another"),
    ],
)
def test_a_reference_stays_literal_without_the_right_on_that_vault(
    role: str, scope: str, principal: str
) -> None:
    """Azure passes the text of an unresolvable reference to the code."""
    reference = f"@Microsoft.KeyVault(SecretUri={SECRET_URI})"
    resources = (site(KEYS=reference), *vault(), assignment(role, scope, principal))
    assert only(desired(*resources)).environment == {"KEYS": reference}


@pytest.mark.parametrize("scope", [VAULT, VAULT.upper(), GROUP, f"/subscriptions/{azure.SUBSCRIPTION}"])
def test_a_role_holds_for_everything_below_its_scope(scope: str) -> None:
    """Scopes are compared by whole names, without case."""
    reference = f"@Microsoft.KeyVault(SecretUri={SECRET_URI})"
    resources = (site(KEYS=reference), *vault(), assignment(SECRETS_USER, scope))
    assert only(desired(*resources)).environment == {"KEYS": "new"}


def test_storage_roles_become_grants_on_containers_and_accounts() -> None:
    """A role on a container covers it; a role on the account or above covers all containers."""
    on_container = desired(*storage(), assignment(BLOB_CONTRIBUTOR, CONTAINER)).grants
    on_group = desired(*storage(), assignment(BLOB_CONTRIBUTOR, GROUP)).grants
    actions = ("object:read", "object:write", "object:delete", "object:list")
    assert on_container == tuple(Grant("principal", action, "store/health") for action in actions)
    assert on_group == tuple(Grant("principal", action, "store/*") for action in actions)


def test_access_restrictions_close_a_site() -> None:
    """The default action Deny refuses every request."""
    resources = site()
    resources.inputs["siteConfig"]["ipSecurityRestrictionsDefaultAction"] = "Deny"
    closed = only(desired(resources)).closed
    assert closed is not None
    assert "deny every caller" in closed
