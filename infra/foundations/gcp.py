"""Google: what all functions of one region share: buckets, the builder, the log."""

from __future__ import annotations

from collections.abc import Mapping

import pulumi
import pulumi_gcp as gcp

from infra.contract import LOG_RETENTION_DAYS, Fleet, Place, fit, regional_name

HEALTH_PREFIX = "health/"
REPLIES_PREFIX = "replies/"
HEALTH_DAYS = 7  # a snapshot is stale after minutes; a week is kept to look back
REPLIES_DAYS = 2  # a reply is promised for one day, and no cloud is to delete it early
ACCOUNT_ID_LIMIT = 30  # of a service account
BUCKET_NAME_LIMIT = 63
# What a new project has switched off and this program uses.
SERVICES = (
    "artifactregistry",
    "cloudbuild",
    "cloudfunctions",
    "cloudscheduler",
    "iam",
    "logging",
    "monitoring",
    "run",
    "secretmanager",
)
# Everything one build of a function needs: its source, its image's repository, its log.
BUILDER_ROLE = "roles/cloudbuild.builds.builder"


class Foundation(pulumi.ComponentResource):
    """What all functions of one region share: buckets, the builder's identity, the log."""

    def __init__(self, fleet: Fleet, place: Place, project: str) -> None:
        name = f"gcp-{place.region}"
        super().__init__("skyfleet:gcp:Foundation", name)
        self.fleet, self.place, self.project = fleet, place, project
        self._child = pulumi.ResourceOptions(parent=self)
        self._labels = fleet.labels("shared")

        self.services = [
            gcp.projects.Service(
                f"{name}-{service}",
                project=project,
                service=f"{service}.googleapis.com",
                disable_on_destroy=False,  # other things in the project may use it by then
                opts=self._child,
            )
            for service in SERVICES
        ]
        self._after = pulumi.ResourceOptions(parent=self, depends_on=self.services)
        self.packages = self._bucket("packages")
        self.state = self._bucket("state", {HEALTH_PREFIX: HEALTH_DAYS, REPLIES_PREFIX: REPLIES_DAYS})
        self.builder, self.may_build = self._builder()
        self._logs()
        self.register_outputs({"packages": self.packages.name, "state": self.state.name})

    def secret(
        self,
        what: str,
        value: pulumi.Input[str],
        labels: dict[str, str],
        parent: pulumi.Resource,
    ) -> tuple[gcp.secretmanager.Secret, gcp.secretmanager.SecretVersion]:
        opts = pulumi.ResourceOptions(parent=parent, depends_on=self.services)
        resource = f"gcp-{self.place.region}-{what}"
        secret = gcp.secretmanager.Secret(
            resource,
            project=self.project,
            secret_id=regional_name(self.fleet.prefix, what, self.place.region, 255),
            replication=gcp.secretmanager.SecretReplicationArgs(
                user_managed=gcp.secretmanager.SecretReplicationUserManagedArgs(
                    replicas=[
                        gcp.secretmanager.SecretReplicationUserManagedReplicaArgs(location=self.place.region)
                    ]
                )
            ),
            labels=labels,
            opts=opts,
        )
        version = gcp.secretmanager.SecretVersion(
            resource, secret=secret.id, secret_data=pulumi.Output.secret(value), opts=opts
        )
        return secret, version

    def _bucket(self, what: str, days: Mapping[str, int] | None = None) -> gcp.storage.Bucket:
        """days: how long objects are kept, by the start of their names; others stay."""
        return gcp.storage.Bucket(
            f"gcp-{self.place.region}-{what}",
            project=self.project,
            name=self.fleet.unique(f"{self.fleet.prefix}-{what}-{self.place.region}", BUCKET_NAME_LIMIT),
            location=self.place.region.upper(),
            uniform_bucket_level_access=True,
            public_access_prevention="enforced",
            force_destroy=True,  # holds only packages or snapshots, which are made again
            lifecycle_rules=[
                gcp.storage.BucketLifecycleRuleArgs(
                    action=gcp.storage.BucketLifecycleRuleActionArgs(type="Delete"),
                    condition=gcp.storage.BucketLifecycleRuleConditionArgs(
                        age=age, matches_prefixes=[prefix]
                    ),
                )
                for prefix, age in (days or {}).items()
            ],
            labels=self._labels,
            opts=self._after,
        )

    def _builder(self) -> tuple[gcp.serviceaccount.Account, gcp.projects.IAMMember]:
        """Without it Cloud Build runs as the project's default account, which may do far more."""
        resource = f"gcp-{self.place.region}-builder"
        account = gcp.serviceaccount.Account(
            resource,
            project=self.project,
            account_id=regional_name(self.fleet.prefix, "builder", self.place.region, ACCOUNT_ID_LIMIT),
            display_name=f"Builds the functions of {self.fleet.prefix} in {self.place.region}",
            opts=self._after,
        )
        grant = gcp.projects.IAMMember(
            resource,
            project=self.project,
            role=BUILDER_ROLE,
            member=account.email.apply(member),
            opts=self._child,
        )
        return account, grant

    def _logs(self) -> None:
        """The functions' lines in a bucket of their own, so that their retention is this stack's to say."""
        resource = f"gcp-{self.place.region}-logs"
        bucket_id = fit(f"{self.fleet.prefix}-{self.place.region}", 100)
        bucket = gcp.logging.ProjectBucketConfig(
            resource,
            project=self.project,
            location=self.place.region,
            bucket_id=bucket_id,
            retention_days=LOG_RETENTION_DAYS,
            opts=self._after,
        )
        gcp.logging.ProjectSink(
            resource,
            project=self.project,
            name=bucket_id,
            destination=bucket.id.apply(lambda id: f"logging.googleapis.com/{id}"),
            filter=(
                'resource.type="cloud_run_revision"'
                f' resource.labels.location="{self.place.region}"'
                f' resource.labels.service_name=~"^{self.fleet.prefix}-"'
            ),
            unique_writer_identity=True,
            opts=self._child,
        )


def member(email: str) -> str:
    return f"serviceAccount:{email}"
