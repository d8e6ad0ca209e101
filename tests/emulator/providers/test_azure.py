"""Tests of the emulated Azure: the order of resources, roles, and deployments of packages."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from emulator.errors import CloudError
from emulator.providers.azure import common as azure
from emulator.providers.values import Properties
from tests.emulator.account import Mistakes
from tests.emulator.providers.support import BLOB_CONTRIBUTOR, GROUP, Azure


@pytest.fixture
def account(tmp_path: Path) -> Azure:
    account = Azure(tmp_path)
    account.group()
    return account


def test_names_are_generated_like_azure_natives(account: Azure) -> None:
    """A generated name ends with eight hexadecimal digits and is not shortened, so a long one is refused."""
    name = account.arm(azure.IDENTITY, "agent").outputs["name"]
    assert (name[:5], len(name), int(name[5:], 16) > 0) == ("agent", 13, True)
    with pytest.raises(Mistakes, match="accountName: must be 3 to 24 lower-case letters and digits"):
        account.arm(azure.ACCOUNT, "skyfleet-europe", kind="StorageV2", sku={"name": "Standard_LRS"})
    with pytest.raises(Mistakes, match="vaultName: must be 3 to 24"):
        account.arm(
            azure.VAULT,
            "a-name-of-17-chars",
            properties={"sku": {"family": "A", "name": "standard"}, "tenantId": azure.TENANT},
        )


def test_a_location_is_the_resource_groups_unless_given(account: Azure) -> None:
    """azure-native has the same default."""
    assert account.arm(azure.IDENTITY, "agent").outputs["location"] == "westeurope"


def test_every_resource_needs_its_resource_group(account: Azure) -> None:
    """The group must exist first."""
    with pytest.raises(CloudError, match="ResourceGroupNotFound"):
        account.create(azure.IDENTITY, "agent", resourceGroupName="elsewhere")


def test_a_storage_accounts_name_is_globally_unique(account: Azure) -> None:
    """It is refused in another group too."""
    account.storage()
    account.create(azure.GROUP, "second", resourceGroupName="second", location="westeurope")
    inputs = {"kind": "StorageV2", "sku": {"name": "Standard_LRS"}, "accountName": "store"}
    with pytest.raises(CloudError, match="StorageAccountAlreadyTaken"):
        account.create(azure.ACCOUNT, "other", resourceGroupName="second", **inputs)


def test_a_blob_cannot_be_uploaded_without_the_accounts_key(account: Azure) -> None:
    """The provider's Blob uses the key and fails as on Azure."""
    account.storage(allowSharedKeyAccess=False)
    with pytest.raises(CloudError, match="KeyBasedAuthenticationNotPermitted"):
        account.blob("a.zip")


def test_a_site_gets_a_package_only_by_a_deployment(account: Azure) -> None:
    """A blob alone has no effect; each onedeploy changes the site's package."""
    account.storage()
    site = account.site()
    first, second = account.blob("first.zip"), account.blob("second.zip")
    assert all(desired.functions == () for desired in account.applied)
    deployment = account.arm(azure.DEPLOYMENT, "d", **account.deploy_inputs(account.signed(first)))
    (function,) = account.applied[-1].functions
    assert function.package_hash == first.private["sha256"]
    account.update(deployment, resourceGroupName=GROUP, **account.deploy_inputs(account.signed(second)))
    (function,) = account.applied[-1].functions
    assert function.package_hash == second.private["sha256"]
    account.delete(account.table.resources[deployment.key])
    assert account.applied[-1].functions == (function,)
    assert account.table.resources[site.key].outputs["defaultHostName"] == function.authority
    assert re.fullmatch(r"agent\.azurewebsites\.net\.localhost:\d+", function.authority)


@pytest.mark.parametrize(
    ("part", "other", "code"),
    [
        ("sig=", "gis=", "AuthenticationFailed"),
        ("a.zip", "b.zip", "AuthenticationFailed"),
        ("store.", "other.", "PackageUriNotReachable"),
        ("2099", "2020", "AuthenticationFailed"),
    ],
    ids=["unsigned", "another blob", "another account", "altered"],
)
def test_a_package_is_read_only_with_its_signed_url(account: Azure, part: str, other: str, code: str) -> None:
    """The account is private, so a request needs a signature for the blob."""
    account.storage()
    account.site()
    address = account.signed(account.blob("a.zip")).replace(part, other)
    with pytest.raises(CloudError, match=code):
        account.arm(azure.DEPLOYMENT, "d", **account.deploy_inputs(address))


def test_a_signature_expires(account: Azure) -> None:
    """A signed URL is valid for a limited time."""
    account.storage()
    account.site()
    late = account.signed(account.blob("a.zip"), sharedAccessExpiryTime="2029-12-31T00:00:00Z")
    with pytest.raises(CloudError, match="its signature ended at 2029-12-31"):
        account.arm(azure.DEPLOYMENT, "d", **account.deploy_inputs(late))


def test_equal_requests_have_equal_signatures(account: Azure) -> None:
    """Otherwise every `up` would deploy the package again."""
    account.storage()
    blob = account.blob("a.zip")
    assert account.signed(blob) == account.signed(blob)


def test_a_template_can_deploy_only_packages(account: Azure) -> None:
    """The emulator refuses templates that it cannot execute."""
    inputs = {"resourceGroupName": GROUP, **account.deploy_inputs("x", kind="Microsoft.Web/sites")}
    with pytest.raises(Mistakes, match="the emulator deploys Microsoft"):
        account.checked(azure.DEPLOYMENT, "d", inputs, {})


def scale(**given: object) -> dict[str, Any]:
    """The inputs of a site with these numbers of instances."""
    return {"functionAppConfig": {"scaleAndConcurrency": given}}


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"functionAppConfig": None}, "functionAppConfig: missing"),
        ({"siteConfig": {"linuxFxVersion": "PYTHON|3.13"}}, "linuxFxVersion: not allowed here"),
        (
            {"siteConfig": {"appSettings": [{"name": "FUNCTIONS_WORKER_RUNTIME", "value": "python"}]}},
            "FUNCTIONS_WORKER_RUNTIME is not allowed on Flex",
        ),
        (
            {"siteConfig": {"appSettings": [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]}},
            "A is given twice",
        ),
        (scale(instanceMemoryMB=1024), "instanceMemoryMB: must be one of 512, 2048, 4096"),
        (scale(maximumInstanceCount=39), "maximumInstanceCount: must be 40 to 1000"),
        (scale(alwaysReady=[{"name": "https", "instanceCount": 1}]), "name must be one of http, blob"),
        (scale(alwaysReady=[{"name": "http", "instanceCount": 1001}]), "instanceCount must be 0 to 1000"),
        (scale(triggers={"http": {"perInstanceConcurrency": 0}}), "perInstanceConcurrency: must be 1 to"),
    ],
)
def test_flex_consumption_has_its_own_rules(account: Azure, more: dict[str, Any], said: str) -> None:
    """functionAppConfig replaces application settings of other plans."""
    inputs = {"resourceGroupName": GROUP, **account.site_inputs(**more)}
    with pytest.raises(Mistakes, match=said):
        account.checked(azure.SITE, "agent", inputs, {})


def test_a_role_needs_a_principal_a_definition_and_a_scope_that_exist(account: Azure) -> None:
    """A duplicate assignment is refused."""
    storage = account.storage()
    identity = account.arm(azure.IDENTITY, "agent")
    definition = f"/providers/Microsoft.Authorization/roleDefinitions/{BLOB_CONTRIBUTOR}"
    right = {
        "principalId": identity.outputs["principalId"],
        "roleDefinitionId": definition,
        "scope": storage.id,
    }
    wrong = {
        "PrincipalNotFound": {"principalId": "0" * 36},
        "RoleDefinitionDoesNotExist": {"roleDefinitionId": definition.replace("ba92f5b4", "ba92f5b5")},
        "ResourceNotFound": {"scope": f"{storage.id}x"},
    }
    for code, change in wrong.items():
        with pytest.raises(CloudError, match=code):
            account.create(azure.ROLE_ASSIGNMENT, "a", **{**right, **change})
    account.create(azure.ROLE_ASSIGNMENT, "a", **right)
    with pytest.raises(CloudError, match="RoleAssignmentExists"):
        account.create(azure.ROLE_ASSIGNMENT, "b", **right)


def test_a_new_value_of_a_secret_is_a_new_version(account: Azure) -> None:
    """New tags make no version, and old versions stay readable."""
    vault = {"sku": {"family": "A", "name": "standard"}, "tenantId": azure.TENANT}
    account.arm(azure.VAULT, "vault", vaultName="vault", properties=vault)

    def inputs(value: str, **more: Any) -> Properties:  # noqa: ANN401 - JSON
        given = {"vaultName": "vault", "secretName": "keys", "properties": {"value": value}}
        return {"resourceGroupName": GROUP, **given, **more}

    first = account.create(azure.SECRET, "keys", **inputs("one"))
    tagged = account.update(first, **inputs("one", tags={"a": "b"}))
    second = account.update(tagged, **inputs("two"))
    uris = [resource.outputs["properties"]["secretUriWithVersion"] for resource in (first, tagged, second)]
    assert uris[0] == uris[1] != uris[2]
    assert "two" not in str(second.outputs["properties"])
    assert list(second.private["values"].values()) == ["one", "two"]


def test_a_group_with_resources_cannot_be_deleted(account: Azure) -> None:
    """The deletion would remove resources of other stacks."""
    account.arm(azure.IDENTITY, "agent")
    (group,) = (resource for resource in account.table.resources.values() if resource.token == azure.GROUP)
    with pytest.raises(CloudError, match="still holds 1 resources"):
        account.delete(group)


def test_a_deleted_site_removes_its_settings_and_not_the_record_of_its_package(
    account: Azure,
) -> None:
    """A new site has a new system identity and no package."""
    account.storage()
    site = account.site()
    inputs = account.site_inputs(name="agent", identity={"type": "SystemAssigned"})
    before = account.update(site, resourceGroupName=GROUP, **inputs).outputs["identity"]["principalId"]
    ftp = account.arm("azure-native:web:WebAppFtpAllowed", "ftp", name="agent", allow=False)
    published = account.arm(
        azure.DEPLOYMENT, "d", **account.deploy_inputs(account.signed(account.blob("a.zip")))
    )
    account.delete(site)
    assert ftp.key not in account.table.resources
    assert published.key in account.table.resources
    again = account.arm(azure.SITE, "agent", **inputs)
    assert again.id == site.id
    assert again.outputs["identity"]["principalId"] != before
    assert "package" not in again.private
