"""Google: Cloud Run functions (2nd gen), Cloud Scheduler, Secret Manager, Cloud Storage.

Same skeleton as aws.py and azure.py: identity, package, function, public URL, schedule, register_outputs.
"""

from __future__ import annotations

from collections.abc import Sequence

import pulumi
import pulumi_gcp as gcp

from infra.clouds.gcp.region import ACCOUNT_ID_LIMIT, REPLIES_PREFIX, ROLES_WAIT_S, RegionBase, member
from infra.component import FunctionEndpoint, FunctionSpec, made_of, ready
from infra.config.instances import google_cpus
from infra.config.model import GcpSettings
from infra.config.regions import scheduler_region
from infra.names import fit, regional_name
from infra.waits import wait
from skyfleet import contract

RUNTIME = "python313"
ENTRY_POINT = "main"
# A checker takes one request at a time and mostly waits, but it is paid for most of every minute.
CHECKER_CPU = "0.5"
# The next minute's run may begin before the one before it has ended.
CHECKER_INSTANCES = 2
FUNCTION_NAME_LIMIT = 63


class Function(pulumi.ComponentResource):
    """One Cloud Run function with all it needs and nothing more."""

    def __init__(self, spec: FunctionSpec, shared: RegionBase, google: GcpSettings) -> None:
        self.name = fit(f"{shared.fleet.prefix}-{spec.role}", FUNCTION_NAME_LIMIT)
        self._resource = f"gcp-{shared.place.region}-{spec.role}"
        super().__init__("skyfleet:gcp:Function", self._resource, opts=pulumi.ResourceOptions(parent=shared))
        self.spec, self.shared, self.google = spec, shared, google
        self.region, self.project = shared.place.region, shared.project.id
        self._child = pulumi.ResourceOptions(parent=self)
        self._labels = shared.fleet.labels(spec.role)

        account, grants, secrets = self._identity()
        package = self._package()
        may_run = wait(f"{self._resource}-roles-take-effect", ROLES_WAIT_S, grants, parent=self)
        function = self._function(account, package, secrets, [*grants, may_run])
        url = self._public_url(function) if spec.public else pulumi.Output.from_input("")
        if spec.schedule:
            self._schedule(function)
        self._alarm(function)
        self.endpoint = FunctionEndpoint("gcp", self.region, self.name, url)
        self.register_outputs({"url": url})

    def _identity(
        self,
    ) -> tuple[
        gcp.serviceaccount.Account,
        list[pulumi.CustomResource],
        list[gcp.cloudfunctionsv2.FunctionServiceConfigSecretEnvironmentVariableArgs],
    ]:
        account = self._account(self.spec.role, "Runs")
        grants: list[pulumi.CustomResource] = []
        variables: list[gcp.cloudfunctionsv2.FunctionServiceConfigSecretEnvironmentVariableArgs] = []
        for key, value in self.spec.secrets.items():
            what = key.removeprefix("SKYFLEET_").lower().replace("_", "-")
            secret, version = self.shared.secret(f"{self.spec.role}-{what}", value, self._labels, self)
            grants.append(
                gcp.secretmanager.SecretIamMember(
                    f"{self._resource}-{what}",
                    project=self.project,
                    secret_id=secret.secret_id,
                    role="roles/secretmanager.secretAccessor",
                    member=account.email.apply(member),
                    opts=self._child,
                )
            )
            variables.append(
                gcp.cloudfunctionsv2.FunctionServiceConfigSecretEnvironmentVariableArgs(
                    key=key, project_id=self.project, secret=secret.secret_id, version=version.version
                )
            )
        if self.spec.stores:
            grants.append(self._may_store(account))
        return account, grants, variables

    def _may_store(self, account: gcp.serviceaccount.Account) -> gcp.storage.BucketIAMMember:
        """Replies: to its own objects only, so that it can neither read nor list what routers know."""
        bucket = self.shared.state.name
        only = gcp.storage.BucketIAMMemberConditionArgs(
            title=f"only {REPLIES_PREFIX}",
            expression=bucket.apply(
                lambda name: f'resource.name.startsWith("projects/_/buckets/{name}/objects/{REPLIES_PREFIX}")'
            ),
        )
        return gcp.storage.BucketIAMMember(
            self._resource,
            bucket=bucket,
            role="roles/storage.objectUser",
            member=account.email.apply(member),
            condition=only if self.spec.stores == "replies" else None,
            opts=self._child,
        )

    def _account(self, what: str, does: str) -> gcp.serviceaccount.Account:
        return gcp.serviceaccount.Account(
            f"gcp-{self.region}-{what}",
            project=self.project,
            account_id=regional_name(self.shared.fleet.prefix, what, self.region, ACCOUNT_ID_LIMIT),
            display_name=f"{does} {self.name} in {self.region}",
            opts=pulumi.ResourceOptions(parent=self, depends_on=self.shared.services),
        )

    def _package(self) -> gcp.storage.BucketObject:
        """One object per content: its name never changes meaning, so what is there need not be sent again."""
        package = self.spec.package
        return gcp.storage.BucketObject(
            f"{self._resource}-{package.inputs}",
            bucket=self.shared.packages.name,
            name=f"{self.spec.role}/{package.inputs}.zip",
            source=pulumi.FileAsset(str(package.path)),
            content_type="application/zip",
            opts=pulumi.ResourceOptions(parent=self, ignore_changes=["source"]),
        )

    def _function(
        self,
        account: gcp.serviceaccount.Account,
        package: gcp.storage.BucketObject,
        secrets: Sequence[gcp.cloudfunctionsv2.FunctionServiceConfigSecretEnvironmentVariableArgs],
        grants: Sequence[pulumi.Resource],
    ) -> gcp.cloudfunctionsv2.Function:
        environment = dict(self.spec.environment)
        if self.spec.stores:
            environment[contract.BUCKET] = self.shared.state.name.apply(lambda name: f"gs://{name}")
        return gcp.cloudfunctionsv2.Function(
            self._resource,
            project=self.project,
            location=self.region,
            name=self.name,
            build_config=gcp.cloudfunctionsv2.FunctionBuildConfigArgs(
                runtime=RUNTIME,
                entry_point=ENTRY_POINT,
                service_account=self.shared.builder.id,
                docker_repository=self.shared.images.id,
                source=gcp.cloudfunctionsv2.FunctionBuildConfigSourceArgs(
                    storage_source=gcp.cloudfunctionsv2.FunctionBuildConfigSourceStorageSourceArgs(
                        bucket=package.bucket, object=package.name
                    )
                ),
            ),
            service_config=gcp.cloudfunctionsv2.FunctionServiceConfigArgs(
                service_account_email=account.email,
                available_memory=f"{self.spec.memory_mb}Mi",
                available_cpu=CHECKER_CPU if self.spec.schedule else str(google_cpus(self.spec.memory_mb)),
                timeout_seconds=contract.WEBSOCKET_S if self.spec.role == "router" else self.spec.timeout_s,
                max_instance_request_concurrency=self.spec.concurrency,
                min_instance_count=self.spec.min_instances,
                max_instance_count=self._max_instances(),
                # Cloud Scheduler of the same project counts as internal at the run.app URL:
                # cloud.google.com/run/docs/securing/ingress
                ingress_settings="ALLOW_ALL" if self.spec.public else "ALLOW_INTERNAL_ONLY",
                all_traffic_on_latest_revision=True,
                environment_variables=environment,
                secret_environment_variables=list(secrets),
            ),
            labels=self._labels,
            opts=pulumi.ResourceOptions(
                parent=self, depends_on=[*grants, self.shared.may_build, *self.shared.services]
            ),
        )

    def _max_instances(self) -> int:
        if self.spec.schedule:
            return CHECKER_INSTANCES
        own = self.spec.max_instances
        return self.google.max_instances if own is None else own

    def _public_url(self, function: gcp.cloudfunctionsv2.Function) -> pulumi.Output[str]:
        """The URL is public: agents check the HMAC signature of a request, routers its API key.

        The API of Cloud Functions cannot disable Google's own check of callers
        (cloud.google.com/run/docs/authenticating/public). If an organisation refuses `allUsers`, the operator
        disables the check by hand, and this program grants nothing.
        """
        if not self.google.public:
            return ready(service_url(function), [function.id])
        invoker = self._invoker("public", function, "allUsers", hooks=self.shared.project.on_public)
        return ready(service_url(function), [invoker.id])

    def _invoker(
        self,
        what: str,
        function: gcp.cloudfunctionsv2.Function,
        caller: pulumi.Input[str],
        hooks: pulumi.ResourceHookBinding | None = None,
    ) -> gcp.cloudrunv2.ServiceIamMember:
        """On the Cloud Run service under the function, which bears its name."""
        return gcp.cloudrunv2.ServiceIamMember(
            f"{self._resource}-{what}",
            project=self.project,
            location=self.region,
            name=function.name,
            role="roles/run.invoker",
            member=caller,
            opts=pulumi.ResourceOptions(parent=self, hooks=hooks),
        )

    def _schedule(self, function: gcp.cloudfunctionsv2.Function) -> None:
        caller = self._account("scheduler", "Calls")
        invoker = self._invoker("scheduled", function, caller.email.apply(member))
        gcp.cloudscheduler.Job(
            self._resource,
            project=self.project,
            region=scheduler_region(self.region),
            name=self.name,
            description="Probes every agent once a minute",
            schedule="* * * * *",
            time_zone="Etc/UTC",
            attempt_deadline=f"{max(15, self.spec.timeout_s)}s",
            # The next minute's run is a better second try than a late first one.
            retry_config=gcp.cloudscheduler.JobRetryConfigArgs(retry_count=0),
            http_target=gcp.cloudscheduler.JobHttpTargetArgs(
                uri=service_url(function),
                http_method="POST",
                oidc_token=gcp.cloudscheduler.JobHttpTargetOidcTokenArgs(
                    service_account_email=caller.email, audience=service_url(function)
                ),
            ),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[invoker]),
        )

    def _alarm(self, function: gcp.cloudfunctionsv2.Function) -> None:
        condition = gcp.monitoring.AlertPolicyConditionArgs(
            display_name="Replies with a 5xx status",
            condition_threshold=gcp.monitoring.AlertPolicyConditionConditionThresholdArgs(
                filter=function.name.apply(
                    lambda name: (
                        'resource.type="cloud_run_revision"'
                        f' AND resource.labels.service_name="{name}"'
                        f' AND resource.labels.location="{self.region}"'
                        ' AND metric.type="run.googleapis.com/request_count"'
                        ' AND metric.labels.response_code_class="5xx"'
                    )
                ),
                comparison="COMPARISON_GT",
                threshold_value=0,
                duration="0s",
                aggregations=[
                    gcp.monitoring.AlertPolicyConditionConditionThresholdAggregationArgs(
                        alignment_period="300s", per_series_aligner="ALIGN_SUM"
                    )
                ],
            ),
        )
        # Last of all, so that everything else stands by then.
        gcp.monitoring.AlertPolicy(
            self._resource,
            project=self.project,
            display_name=f"{self.name}-errors ({self.region})",
            combiner="OR",
            conditions=[condition],
            user_labels=self._labels,
            opts=pulumi.ResourceOptions(
                parent=self, depends_on=[function, *self.shared.services], hooks=self.shared.project.on_alarm
            ),
        )


def service_url(function: gcp.cloudfunctionsv2.Function) -> pulumi.Output[str]:
    """The origin of the function's Cloud Run service, `https://….run.app`.

    `function.url` is `https://REGION-PROJECT.cloudfunctions.net/NAME`: it has a path, and a router takes
    origins only. Source: cloud.google.com/run/docs/triggering/https-request; the provider's own example of a
    scheduled function uses `service_config.uri` as target and audience.
    """
    # The id is unknown for a function that this deployment leaves out (infra/partial.py).
    told = made_of(function.service_config, lambda service: service.uri if service and service.uri else "")
    return pulumi.Output.all(function.id, told).apply(lambda known: _present(str(known[1])))


def _present(uri: str) -> str:
    # A preview does not know it before the function exists.
    if uri or pulumi.runtime.is_dry_run():
        return uri
    raise pulumi.RunError(
        "Google reported a function without the URI of its Cloud Run service (serviceConfig.uri); run "
        "`pulumi refresh`, then `pulumi up` again"
    )
