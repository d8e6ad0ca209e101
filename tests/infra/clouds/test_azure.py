"""What the program asks of Azure so that a first deployment works, and nothing is open that need not be."""

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
def test_a_site_is_made_when_its_roles_act(azure: list[Resource], role: str) -> None:
    """It reads its secrets at once and keeps what it read; its package is written with the same identity."""
    acting = named(azure, SLEEP, f"{PLACE}-{role}-roles-take-effect")
    grants = {grant.name for grant in of_type(azure, GRANT) if grant.name.startswith(f"{PLACE}-{role}-")}
    assert set(acting.inputs["triggers"].values()) == {f"{name}-id" for name in grants}
    assert int(acting.inputs["createDuration"].removesuffix("s")) >= 120
    assert acting.label in named(azure, SITE, f"{PLACE}-{role}").depends


@pytest.mark.parametrize("role", ROLES)
def test_a_package_is_published_when_the_sites_configuration_rests(azure: list[Resource], role: str) -> None:
    """Each write of it may restart the site that takes the package."""
    published = named(azure, DEPLOYMENT, f"{PLACE}-{role}-package")
    assert {
        f"azure-native:web:WebAppFtpAllowed::{PLACE}-{role}-ftp",
        f"azure-native:web:WebAppScmAllowed::{PLACE}-{role}-scm",
    } <= published.depends


@pytest.mark.parametrize("role", ROLES)
def test_a_site_that_was_deleted_by_hand_gets_its_package_again(azure: list[Resource], role: str) -> None:
    """It comes back empty under the same name and id; only the identity of its own is another."""
    site = named(azure, SITE, f"{PLACE}-{role}")
    published = named(azure, DEPLOYMENT, f"{PLACE}-{role}-package")
    assert site.inputs["identity"]["type"] == "SystemAssigned, UserAssigned"
    assert published.inputs["tags"]["skyfleet-site"] == f"{PLACE}-{role}-own"


def test_a_sites_own_identity_has_no_role(azure: list[Resource]) -> None:
    """All that a function may do, it may do as the identity that was given its roles."""
    principals = {grant.inputs["principalId"] for grant in of_type(azure, GRANT)}
    assert principals == {f"{PLACE}-{role}-principal" for role in ROLES}


def test_a_package_has_the_name_and_the_place_that_the_document_says(azure: list[Resource]) -> None:
    """`released-package.zip`, in a resource with a location; still one blob per content."""
    names = [blob.inputs["blobName"] for blob in of_type(azure, BLOB)]
    assert all(name.endswith("/released-package.zip") for name in names)
    assert len({name.split("/")[1] for name in names}) == 2, "agents and routers have different packages"
    for published in of_type(azure, DEPLOYMENT):
        (resource,) = published.inputs["properties"]["template"]["resources"]
        assert resource["location"] == "westeurope"


def test_a_checker_can_be_reached_by_its_own_platform(azure: list[Resource]) -> None:
    """Its timer is registered by a call of the site to itself, which an access restriction would refuse."""
    site = named(azure, SITE, f"{PLACE}-checker")
    assert site.inputs["siteConfig"]["ipSecurityRestrictionsDefaultAction"] == "Allow"


def test_no_secret_is_ever_deleted_through_its_vault(azure: list[Resource]) -> None:
    """The deploying identity has no role there; secrets go with the vault."""
    secrets = of_type(azure, SECRET)
    assert secrets
    assert all(secret.retained for secret in secrets)
    assert not any(vault.retained for vault in of_type(azure, VAULT))


def test_vaults_and_secrets_get_a_new_name_each_time_they_are_made(azure: list[Resource]) -> None:
    """A deleted one holds its name: the provider makes a name up, and keeps it while the resource lives."""
    assert all("vaultName" not in vault.inputs for vault in of_type(azure, VAULT))
    assert all("secretName" not in secret.inputs for secret in of_type(azure, SECRET))


def test_packages_lie_apart_from_replies_and_snapshots(azure: list[Resource]) -> None:
    """One account has a shared key, which the upload takes, and nothing in it but packages."""
    keyed = [account for account in of_type(azure, ACCOUNT) if account.inputs["allowSharedKeyAccess"]]
    (packages,) = keyed
    inside = {
        container.inputs["containerName"]
        for container in of_type(azure, CONTAINER)
        if container.inputs["accountName"] == packages.name
    }
    assert inside == {"packages", "running-agent", "running-router", "running-checker"}


@pytest.mark.parametrize("role", ROLES)
def test_a_function_may_write_no_package_but_the_one_that_it_runs(azure: list[Resource], role: str) -> None:
    """The platform writes that as the app's identity. Its wide role ends at the host's own account."""
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


def test_no_role_is_given_that_the_host_does_not_need(azure: list[Resource]) -> None:
    """Queues are for blob triggers and Durable Functions."""
    queue = "974c5e8b-45b9-4653-ba55-5f855dd0fb88"
    assert not any(queue in grant.inputs["roleDefinitionId"] for grant in of_type(azure, GRANT))


def test_purge_protection_is_a_setting(azure: list[Resource], tmp_path: Path) -> None:
    """Off unless asked for, and never said as false: Azure refuses that."""
    (plain,) = of_type(azure, VAULT)
    assert "enablePurgeProtection" not in plain.inputs["properties"]
    asked = settings_for("azure", azure={"purgeProtection": True})
    (protected,) = of_type(recorded(asked, tmp_path), VAULT)
    assert protected.inputs["properties"]["enablePurgeProtection"] is True


@pytest.mark.pure
def test_packages_run_in_the_worker_library_that_they_were_tried_in() -> None:
    """Pinned in what is deployed, to the version under which the emulator runs it."""
    pin = re.compile(r"^azure-functions-runtime==(\S+)", re.MULTILINE)
    locks = [LOCKS / f"{name}.txt" for name in ("agent-azure", "router-azure", "emulator-azure")]
    found = [pin.findall(lock.read_text()) for lock in locks]
    assert found[0] == found[1] == found[2] != []


@pytest.mark.pure
@given(st.dates(date(2026, 1, 1), date(2099, 12, 31)))
def test_the_address_of_a_package_stays_for_a_quarter_and_ends_after_the_next(today: date) -> None:
    """So two deployments in a row change nothing, and no address is good for more than half a year."""
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
def test_names_fit_when_what_makes_them_unique_is_added(name: str, stack: str, region: str) -> None:
    """A storage account and a vault take 24 characters; no two of a place are the same."""
    prefix, suffix = stack_prefix(name, stack), "0a1b2c3d"
    bases = [f"{prefix}-{region}", f"{prefix}-packages-{region}"]
    bases += [f"{prefix}-{role}-{region}" for role in ROLES]
    accounts = [unique_name(base, suffix, STORAGE_NAME_LIMIT, dashes=False) for base in bases]
    assert all(re.fullmatch(r"[a-z0-9]{3,24}", account) for account in accounts), accounts
    assert len(set(accounts)) == len(accounts)
    vault = fit(f"{prefix}-{region}", VAULT_NAME_LIMIT - AUTONAME_DIGITS) + suffix
    assert re.fullmatch(r"(?!.*--)[a-zA-Z][a-zA-Z0-9-]{1,22}[a-zA-Z0-9]", vault), vault
