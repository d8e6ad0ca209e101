"""Google: what all functions share: the project's services, and per region buckets, images and a builder.

Logs need nothing here: Cloud Run writes them into the project's `_Default` bucket, which keeps them for 30
days (cloud.google.com/logging/docs/buckets). A bucket of our own would keep, and bill, every line twice, and
its name stays taken for seven days after its deletion.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pulumi
import pulumi_gcp as gcp

from infra.component import Fleet
from infra.config.model import Place
from infra.hooks import KnownError, error_hook
from infra.names import regional_name
from infra.waits import wait

HEALTH_PREFIX = "health/"
REPLIES_PREFIX = "replies/"
HEALTH_DAYS = 7  # a snapshot is stale after minutes; a week is kept to look back
REPLIES_DAYS = 2  # a reply is promised for one day, and no cloud is to delete it early
ACCOUNT_ID_LIMIT = 30  # of a service account
BUCKET_NAME_LIMIT = 63
REPOSITORY_ID_LIMIT = 63
# The provider reads the project through this one whenever it enables a service, also this one itself, and
# whenever it grants a role: it must be on before the first deployment (docs/deploy-gcp.md).
RESOURCE_MANAGER = "cloudresourcemanager"
# What a new project has switched off and this program uses, and what its owner may have switched off.
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
    "storage",
)
# "Wait a few minutes for the action to propagate", says an API that was just enabled. Most need a minute at
# most; the functions' roles below give them two more before anything is built.
SERVICES_WAIT_S = 60
# A role acts after two minutes, at times after seven: cloud.google.com/iam/docs/access-change-propagation.
# The provider's own example of a function with a builder waits for one.
ROLES_WAIT_S = 150
# Old images: Cloud Run keeps a copy of the one that it serves (cloud.google.com/run/docs/deploying).
IMAGES_KEPT, IMAGE_SECONDS = 2, 7 * 86400
# Where Cloud Functions copies each source before its build, and the builder reads it:
# github.com/hashicorp/terraform-provider-google/issues/20571
SOURCES = 'resource.name.startsWith("projects/_/buckets/gcf-v2-sources-")'

# cloud.google.com/resource-manager/docs/organization-policy/domain-restricted-sharing; the words are those of
# github.com/GoogleCloudPlatform/genai-for-marketing/issues/153
PUBLIC_REFUSED = KnownError(
    "gcp-public-refused",
    "do not belong to a permitted customer|allowedPolicyMemberDomains",
    "your organisation lets no function be open to all (domain restricted sharing), so this one cannot be "
    "reached. Either ask for an exception of this project from constraints/iam.allowedPolicyMemberDomains "
    "and run `pulumi up` again, or set `public: false` in skyfleet:clouds.gcp and switch Google's check off "
    "by hand, as docs/deploy-gcp.md says; the functions check signatures and API keys themselves.",
)
# A metric that a project never had is unknown for up to ten minutes:
# github.com/GoogleCloudPlatform/cloud-foundation-fabric/pull/3739
METRIC_UNKNOWN = KnownError(
    "gcp-metric-unknown",
    "Cannot find metric|metric referenced by the provided filter is unknown",
    "Cloud Monitoring does not know the metric of this alarm yet. The function itself is deployed; run "
    "`pulumi up` again in a few minutes for the alarm.",
    again=20,
)


class Project(pulumi.ComponentResource):
    """The services that all regions of a stack use; other stacks in the project may use them too."""

    def __init__(self, project: str) -> None:
        super().__init__("skyfleet:gcp:Project", "gcp-project")
        self.id = project
        first = self._service(RESOURCE_MANAGER)
        rest = [self._service(service, [first]) for service in SERVICES]
        ready = wait("gcp-services-take-effect", SERVICES_WAIT_S, [first, *rest], parent=self)
        self.services: list[pulumi.Resource] = [first, *rest, ready]
        self.on_public, self.on_alarm = error_hook(PUBLIC_REFUSED), error_hook(METRIC_UNKNOWN)
        self.register_outputs({})

    def _service(self, service: str, after: Sequence[pulumi.Resource] = ()) -> gcp.projects.Service:
        return gcp.projects.Service(
            f"gcp-{service}",
            project=self.id,
            service=f"{service}.googleapis.com",
            disable_on_destroy=False,  # other things in the project may use it by then
            opts=pulumi.ResourceOptions(parent=self, depends_on=list(after)),
        )


class RegionBase(pulumi.ComponentResource):
    """What all functions of one region share: buckets, images, the builder's identity.

    may_build: to depend on for whatever is built here.
    """

    def __init__(self, fleet: Fleet, place: Place, project: Project) -> None:
        name = f"gcp-{place.region}"
        super().__init__("skyfleet:gcp:RegionBase", name)
        self.fleet, self.place, self.project = fleet, place, project
        self.services = project.services
        self._child = pulumi.ResourceOptions(parent=self)
        self._labels = fleet.labels("shared")
        self._after = pulumi.ResourceOptions(parent=self, depends_on=self.services)
        self.packages = self._bucket("packages")
        self.state = self._bucket("state", {HEALTH_PREFIX: HEALTH_DAYS, REPLIES_PREFIX: REPLIES_DAYS})
        self.images = self._images()
        self.builder = self._builder()
        self.may_build = wait(f"{name}-builder-may-build", ROLES_WAIT_S, self._building(), parent=self)
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
            project=self.project.id,
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
        """days: how long objects are kept, by the start of their names; others stay.

        What is overwritten or deleted is gone at once. Google would keep, and bill, it for seven days more:
        cloud.google.com/storage/docs/soft-delete
        """
        return gcp.storage.Bucket(
            f"gcp-{self.place.region}-{what}",
            project=self.project.id,
            name=self.fleet.unique(f"{self.fleet.prefix}-{what}-{self.place.region}", BUCKET_NAME_LIMIT),
            location=self.place.region.upper(),
            uniform_bucket_level_access=True,
            public_access_prevention="enforced",
            force_destroy=True,  # holds only packages or snapshots, which are made again
            soft_delete_policy=gcp.storage.BucketSoftDeletePolicyArgs(retention_duration_seconds=0),
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

    def _images(self) -> gcp.artifactregistry.Repository:
        """The functions' images. Google's own repository, gcf-artifacts, would stay when the stack goes, with
        every image in it: github.com/Worklytics/psoxy/pull/656"""
        return gcp.artifactregistry.Repository(
            f"gcp-{self.place.region}-images",
            project=self.project.id,
            location=self.place.region,
            repository_id=regional_name(self.fleet.prefix, "images", self.place.region, REPOSITORY_ID_LIMIT),
            format="DOCKER",
            description=f"Images of the functions of {self.fleet.prefix}",
            cleanup_policies=[
                gcp.artifactregistry.RepositoryCleanupPolicyArgs(
                    id="newest-stay",
                    action="KEEP",
                    most_recent_versions=gcp.artifactregistry.RepositoryCleanupPolicyMostRecentVersionsArgs(
                        keep_count=IMAGES_KEPT
                    ),
                ),
                gcp.artifactregistry.RepositoryCleanupPolicyArgs(
                    id="old-go",
                    action="DELETE",
                    condition=gcp.artifactregistry.RepositoryCleanupPolicyConditionArgs(
                        older_than=f"{IMAGE_SECONDS}s"
                    ),
                ),
            ],
            labels=self._labels,
            opts=self._after,
        )

    def _builder(self) -> gcp.serviceaccount.Account:
        """Without it Cloud Build runs as the project's default account, which may do far more."""
        return gcp.serviceaccount.Account(
            f"gcp-{self.place.region}-builder",
            project=self.project.id,
            account_id=regional_name(self.fleet.prefix, "builder", self.place.region, ACCOUNT_ID_LIMIT),
            display_name=f"Builds the functions of {self.fleet.prefix} in {self.place.region}",
            opts=self._after,
        )

    def _building(self) -> list[pulumi.CustomResource]:
        """The builder runs third parties' installation code: it reads sources, writes images and its log.

        cloud.google.com/run/docs/configuring/services/build-service-account names the three roles on the
        whole project; the first two act here on what they are needed for only.
        """
        resource, builder = f"gcp-{self.place.region}-builder", self.builder.email.apply(member)
        return [
            gcp.storage.BucketIAMMember(
                resource,
                bucket=self.packages.name,
                role="roles/storage.objectViewer",
                member=builder,
                opts=self._child,
            ),
            gcp.projects.IAMMember(
                f"{resource}-sources",
                project=self.project.id,
                role="roles/storage.objectViewer",
                member=builder,
                condition=gcp.projects.IAMMemberConditionArgs(title="only sources", expression=SOURCES),
                opts=self._after,
            ),
            gcp.artifactregistry.RepositoryIamMember(
                resource,
                project=self.project.id,
                location=self.place.region,
                repository=self.images.name,
                role="roles/artifactregistry.writer",
                member=builder,
                opts=self._child,
            ),
            gcp.projects.IAMMember(
                f"{resource}-log",
                project=self.project.id,
                role="roles/logging.logWriter",
                member=builder,
                opts=self._after,
            ),
        ]


def member(email: str) -> str:
    return f"serviceAccount:{email}"
