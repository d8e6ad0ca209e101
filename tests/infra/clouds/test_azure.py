"""Tests of the Azure resources that the program registers: order, roles, access, names."""

from __future__ import annotations

import re
from datetime import date, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.clouds.azure.function import address_ends
from infra.clouds.azure.region import AUTONAME_DIGITS, STORAGE_NAME_LIMIT, VAULT_NAME_LIMIT
from infra.config.regions import REGIONS
from infra.names import fit, stack_prefix, unique_name
from tests.infra.recorded import Resource, of_type, recorded, settings_for

# In one worker with the other tests of the program: equal settings are recorded once.
pytestmark = pytest.mark.xdist_group("program")

ACCOUNT = "azure-native:storage:StorageAccount"
BLOB = "azure-native:storage:Blob"
CONTAINER = "azure-native:storage:BlobContainer"
DEPLOYMENT = "azure-native:resources:Deployment"
GRANT = "azure-native:authorization:RoleAssignment"
SECRET = "azure-native:keyvault:Secret"
SITE = "azure-native:web:WebApp"
SLEEP = "time:index/sleep:Sleep"
VAULT = "azure-native:keyvault:Vault"
ROLES = ("agent", "router", "checker")
PLACE = "azure-westeurope"
LOCKS = Path(__file__).resolve().parents[3] / "locks"


@pytest.fixture(scope="module")
def azure(tmp_path_factory: pytest.TempPathFactory) -> list[Resource]:
    """A fleet on Azure alone."""
    return recorded(settings_for("azure"), tmp_path_factory.mktemp("packages"))


def named(resources: list[Resource], token: str, name: str) -> Resource:
    return next(resource for resource in of_type(resources, token) if resource.name == name)


@pytest.mark.parametrize("role", ROLES)
def test_a_site_is_created_after_its_roles_are_effective(azure: list[Resource], role: str) -> None:
    """A site reads its secrets once, at its creation, and its identity writes the package."""
    acting = named(azure, SLEEP, f"{PLACE}-{role}-roles-take-effect")
    grants = {grant.name for grant in of_type(azure, GRANT) if grant.name.startswith(f"{PLACE}-{role}-")}
    assert set(acting.inputs["triggers"].values()) == {f"{name}-id" for name in grants}
    assert int(acting.inputs["createDuration"].removesuffix("s")) >= 120
    assert acting.label in named(azure, SITE, f"{PLACE}-{role}").depends


@pytest.mark.parametrize("role", ROLES)
def test_a_package_is_published_after_the_sites_configuration(azure: list[Resource], role: str) -> None:
    """A change of the configuration may restart the site while it accepts the package."""
    published = named(azure, DEPLOYMENT, f"{PLACE}-{role}-package")
    assert {
        f"azure-native:web:WebAppFtpAllowed::{PLACE}-{role}-ftp",
        f"azure-native:web:WebAppScmAllowed::{PLACE}-{role}-scm",
    } <= published.depends


@pytest.mark.parametrize("role", ROLES)
def test_a_manually_deleted_site_gets_its_package_again(azure: list[Resource], role: str) -> None:
    """A new site has the same name and id and differs only in its system identity."""
    site = named(azure, SITE, f"{PLACE}-{role}")
    published = named(azure, DEPLOYMENT, f"{PLACE}-{role}-package")
    assert site.inputs["identity"]["type"] == "SystemAssigned, UserAssigned"
    assert published.inputs["tags"]["skyfleet-site"] == f"{PLACE}-{role}-own"


def test_a_sites_own_identity_has_no_role(azure: list[Resource]) -> None:
    """Only the user-assigned identity of a function has roles."""
    principals = {grant.inputs["principalId"] for grant in of_type(azure, GRANT)}
    assert principals == {f"{PLACE}-{role}-principal" for role in ROLES}


def test_a_package_has_the_documented_name_and_location(azure: list[Resource]) -> None:
    """The name is `released-package.zip`, the resource has a location, and each content has its own blob."""
    names = [blob.inputs["blobName"] for blob in of_type(azure, BLOB)]
    assert all(name.endswith("/released-package.zip") for name in names)
    assert len({name.split("/")[1] for name in names}) == 2, "agents and routers have different packages"
    for published in of_type(azure, DEPLOYMENT):
        (resource,) = published.inputs["properties"]["template"]["resources"]
        assert resource["location"] == "westeurope"


def test_the_platform_can_reach_a_checker(azure: list[Resource]) -> None:
    """The platform registers the timer by a request that an access restriction would refuse."""
    site = named(azure, SITE, f"{PLACE}-checker")
    assert site.inputs["siteConfig"]["ipSecurityRestrictionsDefaultAction"] == "Allow"


def test_no_secret_is_ever_deleted_through_its_vault(azure: list[Resource]) -> None:
    """The deploying identity has no role for it; secrets are deleted with their vault."""
    secrets = of_type(azure, SECRET)
    assert secrets
    assert all(secret.retained for secret in secrets)
    assert not any(vault.retained for vault in of_type(azure, VAULT))


def test_each_new_vault_and_secret_has_a_new_name(azure: list[Resource]) -> None:
    """A deleted vault reserves its name, so the provider generates a name for each resource."""
    assert all("vaultName" not in vault.inputs for vault in of_type(azure, VAULT))
    assert all("secretName" not in secret.inputs for secret in of_type(azure, SECRET))


def test_packages_have_their_own_storage_account(azure: list[Resource]) -> None:
    """The account with a shared key for uploads contains only packages."""
    keyed = [account for account in of_type(azure, ACCOUNT) if account.inputs["allowSharedKeyAccess"]]
    (packages,) = keyed
    inside = {
        container.inputs["containerName"]
        for container in of_type(azure, CONTAINER)
        if container.inputs["accountName"] == packages.name
    }
    assert inside == {"packages", "running-agent", "running-router", "running-checker"}


@pytest.mark.parametrize("role", ROLES)
def test_a_function_can_write_only_its_own_package(azure: list[Resource], role: str) -> None:
    """The platform writes the package as the app's identity, whose role is limited to the host's account."""
    scopes: dict[str, set[str]] = {}
    for grant in of_type(azure, GRANT):
        if grant.name.startswith(f"{PLACE}-{role}-"):
            scopes.setdefault(grant.inputs["roleDefinitionId"].rpartition("/")[2][:8], set()).add(
                grant.inputs["scope"]
            )
    assert scopes["b7e6dc6d"] == {f"{PLACE}-{role}-id"}, "owner of blobs: the host's account"
    assert f"{PLACE}-{role}-id" in scopes["ba92f5b4"], "contributor: the container of its package"
    site = named(azure, SITE, f"{PLACE}-{role}")
    kept = site.inputs["functionAppConfig"]["deployment"]["storage"]["value"]
    assert kept.startswith(f"https://{PLACE}-packages.blob.core.windows.net/")


def test_the_host_has_only_the_roles_that_it_needs(azure: list[Resource]) -> None:
    """Queues are used only by blob triggers and Durable Functions."""
    queue = "974c5e8b-45b9-4653-ba55-5f855dd0fb88"
    assert not any(queue in grant.inputs["roleDefinitionId"] for grant in of_type(azure, GRANT))


def test_purge_protection_is_a_setting(azure: list[Resource], tmp_path: Path) -> None:
    """It is off by default and then left out, since Azure refuses the value false."""
    (plain,) = of_type(azure, VAULT)
    assert "enablePurgeProtection" not in plain.inputs["properties"]
    asked = settings_for("azure", azure={"purgeProtection": True})
    (protected,) = of_type(recorded(asked, tmp_path), VAULT)
    assert protected.inputs["properties"]["enablePurgeProtection"] is True


@pytest.mark.pure
def test_the_deployed_worker_library_is_the_tested_one() -> None:
    """The deployed version is pinned to that of the emulator."""
    pin = re.compile(r"^azure-functions-runtime==(\S+)", re.MULTILINE)
    locks = [LOCKS / f"{name}.txt" for name in ("agent-azure", "router-azure", "emulator-azure")]
    found = [pin.findall(lock.read_text()) for lock in locks]
    assert found[0] == found[1] == found[2] != []


@pytest.mark.pure
@given(st.dates(date(2026, 1, 1), date(2099, 12, 31)))
def test_the_url_of_a_package_is_stable_for_a_quarter_and_expires_after_the_next(today: date) -> None:
    """Consecutive deployments do not change it, and no URL is valid for more than half a year."""
    ends = date.fromisoformat(address_ends(today)[:10])
    assert timedelta(days=89) <= ends - today <= timedelta(days=184)
    first = date(today.year, (today.month - 1) // 3 * 3 + 1, 1)
    assert address_ends(first) == address_ends(today)


@pytest.mark.pure
@given(
    st.from_regex(r"[a-z][a-z0-9-]{0,14}[a-z0-9]", fullmatch=True),
    st.text("abcXYZ019-_.", min_size=1, max_size=100),
    st.sampled_from(sorted(REGIONS["azure"])),
)
def test_unique_names_fit(name: str, stack: str, region: str) -> None:
    """Names of storage accounts and vaults have at most 24 characters and are unique in a place."""
    prefix, suffix = stack_prefix(name, stack), "0a1b2c3d"
    bases = [f"{prefix}-{region}", f"{prefix}-packages-{region}"]
    bases += [f"{prefix}-{role}-{region}" for role in ROLES]
    accounts = [unique_name(base, suffix, STORAGE_NAME_LIMIT, dashes=False) for base in bases]
    assert all(re.fullmatch(r"[a-z0-9]{3,24}", account) for account in accounts), accounts
    assert len(set(accounts)) == len(accounts)
    vault = fit(f"{prefix}-{region}", VAULT_NAME_LIMIT - AUTONAME_DIGITS) + suffix
    assert re.fullmatch(r"(?!.*--)[a-zA-Z][a-zA-Z0-9-]{1,22}[a-zA-Z0-9]", vault), vault
