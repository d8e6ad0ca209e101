"""Microsoft: what all functions of one region share: resource group, storage, vault, logs."""

from __future__ import annotations

from datetime import date

import pulumi
from pulumi_azure_native import (
    applicationinsights,
    authorization,
    keyvault,
    operationalinsights,
    resources,
    storage,
)

from infra.component import LOG_RETENTION_DAYS, Fleet
from infra.config.model import Place
from infra.names import fit, regional_name

HEALTH_DAYS = 7  # a snapshot is stale after minutes; a week is kept to look back
REPLIES_DAYS = 2  # a reply is promised for one day, and no cloud is to delete it early
VAULT_RECOVERY_DAYS = 7  # the shortest time Key Vault can take a deletion back
STORAGE_NAME_LIMIT = VAULT_NAME_LIMIT = 24
AUTONAME_DIGITS = 8  # what azure-native appends to a resource's name in the program


class RegionBase(pulumi.ComponentResource):
    """What all functions of one region share: resource group, storage, vault, logs.

    today: decides until when the address of a package is good.
    """

    def __init__(self, fleet: Fleet, place: Place, today: date, *, purge_protection: bool = False) -> None:
        name = f"azure-{place.region}"
        super().__init__("skyfleet:azure:RegionBase", name)
        self.fleet, self.place, self.today = fleet, place, today
        self._child = pulumi.ResourceOptions(parent=self)
        self._tags = fleet.labels("shared")
        self.client = authorization.get_client_config_output(opts=pulumi.InvokeOutputOptions(parent=self))

        group = resources.ResourceGroup(
            name,
            resource_group_name=regional_name(fleet.prefix, "fleet", place.region, 90),
            location=place.region,
            tags=self._tags,
            opts=self._child,
        )
        self.group = group.name
        self.account = storage_account(self, name, f"{fleet.prefix}-{place.region}")
        self.health = self._container("health", self.account)
        self.replies = self._container("replies", self.account)
        self._expire(name)
        # Uploading a package takes the account's key: the provider's Blob knows no other way. So packages
        # lie in an account of their own, with nothing beside them that its key would open.
        self.package_account = storage_account(
            self, f"{name}-packages", f"{fleet.prefix}-packages-{place.region}", shared_key=True
        )
        self.packages = self._container("packages", self.package_account)
        self.vault = self._vault(purge_protection=purge_protection)
        self.insights = self._logs(name)
        self.register_outputs({"account": self.account.name})

    def secret(
        self, what: str, value: pulumi.Input[str], tags: dict[str, str], parent: pulumi.Resource
    ) -> keyvault.Secret:
        """A secret that goes with the vault.

        The provider would delete it through the vault's data plane, where the deploying identity has no
        role (pulumi-azure-native, provider/pkg/resources/customresources/custom_keyvault.go). So one that
        the program gives up stays in the vault, with no function that may read it. Its name is the
        provider's choice, or the same secret could not be made again beside it.
        """
        return keyvault.Secret(
            f"azure-{self.place.region}-{what}",
            resource_group_name=self.group,
            vault_name=self.vault.name,
            properties=keyvault.SecretPropertiesArgs(value=pulumi.Output.secret(value)),
            tags=tags,
            opts=pulumi.ResourceOptions(parent=parent, retain_on_delete=True),
        )

    def _container(self, what: str, account: storage.StorageAccount) -> storage.BlobContainer:
        return storage.BlobContainer(
            f"azure-{self.place.region}-{what}",
            resource_group_name=self.group,
            account_name=account.name,
            container_name=what,
            public_access=storage.PublicAccess.NONE,
            opts=self._child,
        )

    def _expire(self, name: str) -> None:
        """An account has one policy. Its prefixes begin with the container's name."""
        storage.ManagementPolicy(
            name,
            resource_group_name=self.group,
            account_name=self.account.name,
            management_policy_name="default",
            policy=storage.ManagementPolicySchemaArgs(
                rules=[
                    _expiry("old-snapshots", "health/health/", HEALTH_DAYS),
                    _expiry("old-replies", "replies/replies/", REPLIES_DAYS),
                ]
            ),
            opts=self._child,
        )

    def _vault(self, *, purge_protection: bool) -> keyvault.Vault:
        """Its name is the provider's choice at each creation: a deleted vault holds its name for seven days,
        also one that an interrupted deployment deleted and still has in its state.
        """
        return keyvault.Vault(
            fit(f"{self.fleet.prefix}-{self.place.region}", VAULT_NAME_LIMIT - AUTONAME_DIGITS),
            resource_group_name=self.group,
            location=self.place.region,
            properties=keyvault.VaultPropertiesArgs(
                tenant_id=self.client.tenant_id,
                sku=keyvault.SkuArgs(family=keyvault.SkuFamily.A, name=keyvault.SkuName.STANDARD),
                enable_rbac_authorization=True,
                enable_soft_delete=True,
                soft_delete_retention_in_days=VAULT_RECOVERY_DAYS,
                # Never said as false: Azure takes only true, and no vault back from it.
                enable_purge_protection=purge_protection or None,
            ),
            tags=self._tags,
            opts=self._child,
        )

    def _logs(self, name: str) -> applicationinsights.Component:
        workspace = operationalinsights.Workspace(
            name,
            resource_group_name=self.group,
            workspace_name=regional_name(self.fleet.prefix, "logs", self.place.region, 63),
            location=self.place.region,
            sku=operationalinsights.WorkspaceSkuArgs(name="PerGB2018"),
            retention_in_days=LOG_RETENTION_DAYS,
            tags=self._tags,
            opts=self._child,
        )
        return applicationinsights.Component(
            name,
            resource_group_name=self.group,
            resource_name_=regional_name(self.fleet.prefix, "insights", self.place.region, 255),
            location=self.place.region,
            kind="web",
            application_type=applicationinsights.ApplicationType.WEB,
            ingestion_mode=applicationinsights.IngestionMode.LOG_ANALYTICS,
            workspace_resource_id=workspace.id,
            disable_local_auth=True,
            tags=self._tags,
            opts=self._child,
        )


def _expiry(what: str, prefix: str, days: int) -> storage.ManagementPolicyRuleArgs:
    old = storage.DateAfterModificationArgs(days_after_modification_greater_than=days)
    return storage.ManagementPolicyRuleArgs(
        name=what,
        type=storage.RuleType.LIFECYCLE,
        enabled=True,
        definition=storage.ManagementPolicyDefinitionArgs(
            filters=storage.ManagementPolicyFilterArgs(blob_types=["blockBlob"], prefix_match=[prefix]),
            actions=storage.ManagementPolicyActionArgs(
                base_blob=storage.ManagementPolicyBaseBlobArgs(delete=old)
            ),
        ),
    )


def storage_account(
    shared: RegionBase,
    name: str,
    base: str,
    *,
    role: str = "shared",
    shared_key: bool = False,
    parent: pulumi.Resource | None = None,
) -> storage.StorageAccount:
    """A private account: TLS only, nothing anonymous, by role instead of key where the provider can."""
    return storage.StorageAccount(
        name,
        resource_group_name=shared.group,
        account_name=shared.fleet.unique(base, STORAGE_NAME_LIMIT, dashes=False),
        location=shared.place.region,
        kind=storage.Kind.STORAGE_V2,
        sku=storage.SkuArgs(name=storage.SkuName.STANDARD_LRS),
        allow_blob_public_access=False,
        allow_shared_key_access=shared_key,
        enable_https_traffic_only=True,
        minimum_tls_version=storage.MinimumTlsVersion.TLS1_2,
        tags=shared.fleet.labels(role),
        opts=pulumi.ResourceOptions(parent=parent or shared),
    )
