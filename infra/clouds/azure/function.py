"""Microsoft: Functions on Flex Consumption (a plan per function), Key Vault, Blob Storage; the timer is in
the code.

Same skeleton as aws.py and gcp.py: identity, package, function, public URL, schedule, register_outputs.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

import pulumi
from pulumi_azure_native import (
    authorization,
    keyvault,
    managedidentity,
    monitor,
    resources,
    storage,
    web,
)

from infra.clouds.azure.region import RegionBase, storage_account
from infra.component import FunctionEndpoint, FunctionSpec, made_of, ready
from infra.config.instances import AZURE_MEMORY_MB
from infra.config.model import AZURE_MAX_INSTANCES
from infra.names import fit
from infra.waits import wait
from skyfleet import contract

RUNTIME = ("python", "3.13")
SITE_NAME_LIMIT = 60
# Ids of built-in roles, the same in every tenant.
ROLES: Mapping[str, str] = {
    "Storage Blob Data Owner": "b7e6dc6d-f1e8-4753-8033-0f276bb0955b",
    "Storage Blob Data Contributor": "ba92f5b4-2d11-453d-a403-e96b0029c9fe",
    "Storage Table Data Contributor": "0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3",
    "Monitoring Metrics Publisher": "3913510d-42f4-4e42-8a64-420c390055eb",
    "Key Vault Secrets User": "4633458b-17de-408a-b875-0445c86b69e6",
}
# What the Functions host keeps in its own account: locks, timer state and keys as blobs, diagnostic events
# in a table. Queues are for blob triggers and Durable Functions only ("Connecting to host storage with an
# identity", learn.microsoft.com/azure/azure-functions/functions-reference).
HOST_ROLES = ("Storage Blob Data Owner", "Storage Table Data Contributor")
# A role assignment acts after up to 10 minutes, mostly after one to three
# (learn.microsoft.com/azure/role-based-access-control/troubleshooting). A site that starts earlier keeps
# unresolved Key Vault references for 24 hours, and a deployment cannot write its package.
ROLES_ACT_S = 180
ONE_DEPLOY_API = "2022-09-01"
# The name that Microsoft's document of the deployment demands of a package's file.
PACKAGE_NAME = "released-package.zip"
SITE_TAG = "skyfleet-site"  # of a deployment: which site took the package


class Function(pulumi.ComponentResource):
    """One function app with all it needs and nothing more."""

    def __init__(self, spec: FunctionSpec, shared: RegionBase) -> None:
        fleet, region = shared.fleet, shared.place.region
        self.name = fit(f"{fleet.prefix}-{spec.role}", SITE_NAME_LIMIT)
        self._resource = f"azure-{region}-{spec.role}"
        super().__init__(
            "skyfleet:azure:Function", self._resource, opts=pulumi.ResourceOptions(parent=shared)
        )
        self.spec, self.shared, self.region = spec, shared, region
        self._child = pulumi.ResourceOptions(parent=self)
        self._tags = fleet.labels(spec.role)

        # An account of its own, so that no function can touch another's packages, keys or timers.
        self._host = storage_account(
            shared, self._resource, f"{fleet.prefix}-{spec.role}-{region}", role=spec.role, parent=self
        )
        self._secrets = self._vault_secrets()
        self._deployments = self._deployment_container()
        identity, grants = self._identity()
        package = self._package()
        # The site reads its secrets when it is created, and its package is written as its identity.
        acting = wait(f"{self._resource}-roles-take-effect", ROLES_ACT_S, grants, parent=self)
        site = self._function(identity, acting)
        deployed = self._deploy(site, package, self._no_passwords(site))
        url = ready(site.default_host_name, [deployed.id]) if spec.public else pulumi.Output.from_input("")
        # No schedule here: the package registers a timer when SKYFLEET_ROLE is checker, and no HTTP route
        # then.
        self._alarm(site)
        self.endpoint = FunctionEndpoint("azure", region, self.name, url)
        self.register_outputs({"url": url})

    def _vault_secrets(self) -> dict[str, keyvault.Secret]:
        """By the variable each is for; all are this function's own."""
        return {
            key: self.shared.secret(f"{self.spec.role}-{dashed(key)}", value, self._tags, self)
            for key, value in self.spec.secrets.items()
        }

    def _deployment_container(self) -> storage.BlobContainer:
        """Where the platform keeps the package that runs; apart from the host's account, so that the host's
        wide role does not cover it."""
        return storage.BlobContainer(
            self._resource,
            resource_group_name=self.shared.group,
            account_name=self.shared.package_account.name,
            container_name=f"running-{self.spec.role}",
            public_access=storage.PublicAccess.NONE,
            opts=self._child,
        )

    def _identity(self) -> tuple[managedidentity.UserAssignedIdentity, list[pulumi.CustomResource]]:
        """User-assigned, so that its roles stand before the site starts."""
        identity = managedidentity.UserAssignedIdentity(
            self._resource,
            resource_group_name=self.shared.group,
            resource_name_=self.name,
            location=self.region,
            tags=self._tags,
            opts=self._child,
        )
        wanted: list[tuple[str, str, pulumi.Input[str]]] = [
            *((role, "host", self._host.id) for role in HOST_ROLES),
            # The platform writes the package as an identity of the app: there is no other that it takes.
            ("Storage Blob Data Contributor", "package", self._deployments.id),
            *(("Key Vault Secrets User", dashed(key), secret.id) for key, secret in self._secrets.items()),
            ("Monitoring Metrics Publisher", "insights", self.shared.insights.id),
        ]
        if (container := self._store()) is not None:
            # The narrowest built-in role that writes; on one container, which holds nothing else.
            wanted.append(("Storage Blob Data Contributor", self.spec.stores or "", container.id))
        subscription = self.shared.client.subscription_id
        return identity, [
            authorization.RoleAssignment(
                f"{self._resource}-{where}-{ROLES[role][:8]}",
                principal_id=identity.principal_id,
                principal_type=authorization.PrincipalType.SERVICE_PRINCIPAL,
                role_definition_id=subscription.apply(lambda id, role=role: role_definition(id, role)),
                scope=scope,
                opts=self._child,
            )
            for role, where, scope in wanted
        ]

    def _store(self) -> storage.BlobContainer | None:
        """Roles end at containers, so each store is one of its own."""
        match self.spec.stores:
            case "health":
                return self.shared.health
            case "replies":
                return self.shared.replies
            case None:
                return None

    def _package(self) -> pulumi.Output[str]:
        """One blob per content: its name never changes meaning, so what is there need not be sent again.

        Returns the address the deployment reads it from, a secret because it needs no other key.
        """
        package, shared = self.spec.package, self.shared
        blob = storage.Blob(
            f"{self._resource}-{package.inputs}",
            resource_group_name=shared.group,
            account_name=shared.package_account.name,
            container_name=shared.packages.name,
            blob_name=f"{self.spec.role}/{package.inputs}/{PACKAGE_NAME}",
            type=storage.BlobType.BLOCK,
            source=pulumi.FileAsset(str(package.path)),
            content_type="application/zip",
            opts=pulumi.ResourceOptions(parent=self, ignore_changes=["source"]),
        )
        signature = storage.list_storage_account_service_sas_output(
            resource_group_name=shared.group,
            account_name=shared.package_account.name,
            protocols=storage.HttpProtocol.HTTPS,
            shared_access_expiry_time=address_ends(shared.today),
            permissions=storage.Permissions.R,
            resource=storage.SignedResource.B,
            canonicalized_resource=pulumi.Output.format(
                "/blob/{0}/{1}/{2}", shared.package_account.name, shared.packages.name, blob.name
            ),
            opts=pulumi.InvokeOutputOptions(parent=self),
        )
        address = pulumi.Output.format("{0}?{1}", blob.url, signature.service_sas_token)
        return pulumi.Output.secret(address)

    def _function(
        self, identity: managedidentity.UserAssignedIdentity, acting: pulumi.Resource
    ) -> web.WebApp:
        shared = self.shared
        return web.WebApp(
            self._resource,
            resource_group_name=shared.group,
            # In the world, not in the resource group: two regions need two names.
            name=shared.fleet.unique(f"{self.name}-{self.region}", SITE_NAME_LIMIT),
            location=self.region,
            kind="functionapp,linux",
            server_farm_id=self._plan().id,
            reserved=True,
            https_only=True,
            client_affinity_enabled=False,
            identity=web.ManagedServiceIdentityArgs(
                # The one of its own has no role: it tells one site of this name from the next (see _deploy).
                type=web.ManagedServiceIdentityType.SYSTEM_ASSIGNED_USER_ASSIGNED,
                # One output, which is unknown as a whole in a deployment that leaves this cloud out: the SDK
                # takes a list with an unknown in it for what the property is as an output, a mapping.
                user_assigned_identities=identity.id.apply(lambda id: [id]),
            ),
            key_vault_reference_identity=identity.id,
            function_app_config=self._app_config(identity),
            site_config=web.SiteConfigArgs(
                app_settings=[
                    web.NameValuePairArgs(name=name, value=value)
                    for name, value in sorted(self._app_settings(identity).items())
                ],
                min_tls_version=web.SupportedTlsVersions.SUPPORTED_TLS_VERSIONS_1_2,
                http20_enabled=True,
                # A checker too: its timer is registered by a call of the site to itself, and it has no route.
                ip_security_restrictions_default_action=web.DefaultAction.ALLOW,
            ),
            tags=self._tags,
            opts=pulumi.ResourceOptions(parent=self, depends_on=acting),
        )

    def _plan(self) -> web.AppServicePlan:
        """Flex Consumption takes one app per plan."""
        shared = self.shared
        return web.AppServicePlan(
            self._resource,
            resource_group_name=shared.group,
            name=self.name,
            location=self.region,
            kind="functionapp",
            reserved=True,  # Linux
            sku=web.SkuDescriptionArgs(name="FC1", tier="FlexConsumption"),
            tags=self._tags,
            opts=self._child,
        )

    def _no_passwords(self, site: web.WebApp) -> list[pulumi.Resource]:
        """Neither FTP nor the deployment site takes one."""
        return [
            switch(
                f"{self._resource}-{kind}",
                resource_group_name=self.shared.group,
                name=site.name,
                allow=False,
                opts=self._child,
            )
            for kind, switch in (("ftp", web.WebAppFtpAllowed), ("scm", web.WebAppScmAllowed))
        ]

    def _app_config(self, identity: managedidentity.UserAssignedIdentity) -> web.FunctionAppConfigArgs:
        blobs = made_of(self.shared.package_account.primary_endpoints, lambda found: found.blob)
        return web.FunctionAppConfigArgs(
            deployment=web.FunctionsDeploymentArgs(
                storage=web.FunctionsDeploymentStorageArgs(
                    type=web.FunctionsDeploymentStorageType.BLOB_CONTAINER,
                    value=pulumi.Output.format("{0}{1}", blobs, self._deployments.name),
                    authentication=web.FunctionsDeploymentStorageAuthenticationArgs(
                        type=web.AuthenticationType.USER_ASSIGNED_IDENTITY,
                        user_assigned_identity_resource_id=identity.id,
                    ),
                )
            ),
            runtime=web.FunctionsRuntimeArgs(name=RUNTIME[0], version=RUNTIME[1]),
            scale_and_concurrency=web.FunctionsScaleAndConcurrencyArgs(
                instance_memory_mb=next(size for size in AZURE_MEMORY_MB if size >= self.spec.memory_mb),
                maximum_instance_count=self.spec.max_instances or AZURE_MAX_INSTANCES,
                always_ready=self._always_ready(),
                triggers=web.FunctionsScaleAndConcurrencyTriggersArgs(
                    http=web.FunctionsScaleAndConcurrencyTriggersHttpArgs(
                        per_instance_concurrency=self.spec.concurrency
                    )
                ),
            ),
        )

    def _always_ready(self) -> list[web.FunctionsAlwaysReadyConfigArgs] | None:
        """Warm instances; `http` is the group of all HTTP functions of an app
        (learn.microsoft.com/azure/azure-functions/flex-consumption-how-to, "Set always ready instances")."""
        if not self.spec.min_instances:
            return None
        return [web.FunctionsAlwaysReadyConfigArgs(name="http", instance_count=self.spec.min_instances)]

    def _app_settings(self, identity: managedidentity.UserAssignedIdentity) -> dict[str, pulumi.Input[str]]:
        shared = self.shared
        settings: dict[str, pulumi.Input[str]] = {
            **self.spec.environment,
            **{key: reference(secret) for key, secret in self._secrets.items()},
            "AzureWebJobsStorage__accountName": self._host.name,
            "AzureWebJobsStorage__credential": "managedidentity",
            "AzureWebJobsStorage__clientId": identity.client_id,
            "APPLICATIONINSIGHTS_CONNECTION_STRING": shared.insights.connection_string,
            "APPLICATIONINSIGHTS_AUTHENTICATION_STRING": pulumi.Output.format(
                "ClientId={0};Authorization=AAD", identity.client_id
            ),
        }
        if (container := self._store()) is not None:
            settings[contract.BUCKET] = pulumi.Output.format(
                "az://{0}/{1}", shared.account.name, container.name
            )
            # Which of its identities an app with a user-assigned one asks for tokens.
            settings["AZURE_CLIENT_ID"] = identity.client_id
        return settings

    def _deploy(
        self, site: web.WebApp, package: pulumi.Output[str], after: list[pulumi.Resource]
    ) -> resources.Deployment:
        """Publishes the package: `onedeploy` is an extension only a template can name.

        A site that was deleted by hand is made again by the next `up`: empty, under the same name and id,
        while this deployment stands as it was. Only the identity of its own is another (its life is its
        resource's: learn.microsoft.com/entra/identity/managed-identities-azure-resources/overview), so that
        one's id in a tag is what publishes the package again.

        after: other writes of the site's configuration, each of which may restart the deployment site.
        """
        template = {
            "$schema": "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#",
            "contentVersion": "1.0.0.0",
            "parameters": {"packageUri": {"type": "secureString"}},
            "resources": [
                {
                    "type": "Microsoft.Web/sites/extensions",
                    "apiVersion": ONE_DEPLOY_API,
                    "name": pulumi.Output.format("{0}/onedeploy", site.name),
                    "location": self.region,
                    "properties": {"packageUri": "[parameters('packageUri')]", "remoteBuild": False},
                }
            ],
        }
        return resources.Deployment(
            f"{self._resource}-package",
            resource_group_name=self.shared.group,
            deployment_name=f"{self.name}-package",
            properties=resources.DeploymentPropertiesArgs(
                mode=resources.DeploymentMode.INCREMENTAL,
                template=template,
                parameters={"packageUri": resources.DeploymentParameterArgs(value=package)},
            ),
            tags={**self._tags, SITE_TAG: site.identity.apply(lambda own: own.principal_id if own else "")},
            opts=pulumi.ResourceOptions(parent=self, depends_on=after),
        )

    def _alarm(self, site: web.WebApp) -> None:
        failed = monitor.MetricCriteriaArgs(
            criterion_type="StaticThresholdCriterion",
            name="failed",
            metric_namespace="microsoft.insights/components",
            metric_name="requests/failed",
            operator=monitor.Operator.GREATER_THAN,
            threshold=0,
            time_aggregation=monitor.AggregationTypeEnum.COUNT,
            dimensions=[
                monitor.MetricDimensionArgs(name="cloud/roleName", operator="Include", values=[site.name])
            ],
        )
        monitor.MetricAlert(
            self._resource,
            resource_group_name=self.shared.group,
            rule_name=f"{self.name}-errors",
            location="global",
            description="Invocations that failed",
            severity=2,
            enabled=True,
            scopes=[self.shared.insights.id],
            evaluation_frequency="PT5M",
            window_size="PT5M",
            criteria=monitor.MetricAlertSingleResourceMultipleMetricCriteriaArgs(
                odata_type="Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria", all_of=[failed]
            ),
            tags=self._tags,
            opts=self._child,
        )


def address_ends(today: date) -> str:
    """When the address of a package ends: with the quarter after this one.

    In steps, because an end that moves with the clock would publish the same package at every `up`. The
    platform reads the package while it is deployed and keeps a copy of its own.
    """
    first = (today.month - 1) // 3 * 3 + 7  # the first month after the next quarter
    return f"{today.year + (first - 1) // 12}-{(first - 1) % 12 + 1:02}-01T00:00:00Z"


def role_definition(subscription: str, role: str) -> str:
    return f"/subscriptions/{subscription}/providers/Microsoft.Authorization/roleDefinitions/{ROLES[role]}"


def dashed(variable: str) -> str:
    """A variable's name as a part of a resource's name."""
    return variable.removeprefix("SKYFLEET_").lower().replace("_", "-")


def reference(secret: keyvault.Secret) -> pulumi.Output[str]:
    """An app setting the platform resolves; with its version, so that a rotated secret restarts the app."""
    return made_of(
        secret.properties, lambda found: f"@Microsoft.KeyVault(SecretUri={found.secret_uri_with_version})"
    )
