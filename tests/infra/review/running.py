"""Review rules of operation: labels, alarms, limits, deletion.

A rule is a pure function over all resources of a fleet and returns its findings. Exceptions are listed here
with their reasons.
"""

from __future__ import annotations

import json

from skyfleet import contract
from tests.infra.recorded import of_type
from tests.infra.review.facts import FUNCTIONS, GCS, NO, S3, SITE, YES, Fleet, at, unless

ALARMS = {
    "aws": "aws:cloudwatch/metricAlarm:MetricAlarm",
    "azure": "azure-native:monitor:MetricAlert",
    "gcp": "gcp:monitoring/alertPolicy:AlertPolicy",
}
# Types without labels, or parts of a labelled resource. A new one needs a change of this list.
UNLABELLED = {
    "aws:iam/rolePolicy:RolePolicy",
    "aws:lambda/functionEventInvokeConfig:FunctionEventInvokeConfig",
    "aws:lambda/functionUrl:FunctionUrl",
    "aws:lambda/permission:Permission",
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration",
    "aws:s3/bucketOwnershipControls:BucketOwnershipControls",
    "aws:s3/bucketPolicy:BucketPolicy",
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock",
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration",
    "aws:scheduler/schedule:Schedule",
    "aws:secretsmanager/secretVersion:SecretVersion",
    "azure-native:authorization:RoleAssignment",
    "azure-native:storage:Blob",
    "azure-native:storage:BlobContainer",
    "azure-native:storage:ManagementPolicy",
    "azure-native:web:WebAppFtpAllowed",
    "azure-native:web:WebAppScmAllowed",
    "gcp:artifactregistry/repositoryIamMember:RepositoryIamMember",
    "gcp:cloudrunv2/serviceIamMember:ServiceIamMember",
    "gcp:cloudscheduler/job:Job",
    "gcp:projects/iAMMember:IAMMember",
    "gcp:projects/service:Service",
    "gcp:secretmanager/secretIamMember:SecretIamMember",
    "gcp:secretmanager/secretVersion:SecretVersion",
    "gcp:serviceaccount/account:Account",
    "gcp:storage/bucketIAMMember:BucketIAMMember",
    "gcp:storage/bucketObject:BucketObject",
}
NO_CLOUDS = ("skyfleet:", "random:", "time:")
ROLES = ("agent", "router", "checker", "shared")
# A secret is deleted with its vault: a separate deletion is a request to the data plane, which needs a
# further role and reserves the name.
STAYS = ("azure-native:keyvault:Secret",)
MOST_INSTANCES = 100
MOST_SECONDS = 300  # the longest wait of a router


def everything_is_labelled(fleet: Fleet) -> list[str]:
    """The labels are stack and role, which bills, searches and reviews use."""
    own = [each for each in fleet if not each.token.startswith(NO_CLOUDS) and each.token not in UNLABELLED]
    return [
        f"{each.label}: has no labels of stack and role"
        for each in own
        if not each.labels.get("skyfleet-stack") or each.labels.get("skyfleet-role") not in ROLES
    ]


def every_function_has_an_alarm(fleet: Fleet) -> list[str]:
    """The alarm is of the same cloud and names the function."""
    found: list[str] = []
    for cloud, token in FUNCTIONS.items():
        alarms = [json.dumps(each.inputs).replace("\\", "") for each in of_type(fleet, ALARMS[cloud])]
        for function in of_type(fleet, token):
            if not any(f'"{function.inputs["name"]}"' in alarm for alarm in alarms):
                found.append(f"{function.label}: no alarm names it")
    return found


def instances_are_bounded(fleet: Fleet) -> list[str]:
    """The costs of a loop or a flood are limited. On Lambda the limit is the account's concurrency or the
    stack's setting. The duration of a run is limited on all clouds."""
    counts = range(1, MOST_INSTANCES + 1)
    seconds = range(1, MOST_SECONDS + 1)
    on_google = {*seconds, contract.WEBSOCKET_S}  # a WebSocket, which clients pay for and close
    return [
        *unless(fleet, FUNCTIONS["gcp"], "serviceConfig.maxInstanceCount", counts, "is unbounded"),
        *unless(
            fleet, SITE, "functionAppConfig.scaleAndConcurrency.maximumInstanceCount", counts, "is unbounded"
        ),
        *unless(fleet, FUNCTIONS["gcp"], "serviceConfig.minInstanceCount", (None, 0), "never sleeps"),
        *unless(fleet, FUNCTIONS["gcp"], "serviceConfig.timeoutSeconds", on_google, "runs for too long"),
        *unless(fleet, FUNCTIONS["aws"], "timeout", seconds, "runs for too long"),
    ]


def a_lost_run_is_kept_and_not_repeated(fleet: Fleet) -> list[str]:
    """A failed run is recorded; the run of the next minute takes its place."""
    schedule = "aws:scheduler/schedule:Schedule"
    config = "aws:lambda/functionEventInvokeConfig:FunctionEventInvokeConfig"
    queues = {queue.name for queue in of_type(fleet, "aws:sqs/queue:Queue")}
    lost = [
        f"{each.label}: loses what it could not deliver"
        for each in of_type(fleet, schedule)
        if str(at(each.inputs, "target.deadLetterConfig.arn")).rpartition(":")[2] not in queues
    ]
    return [
        *lost,
        *unless(fleet, schedule, "target.retryPolicy.maximumRetryAttempts", range(3), "repeats"),
        *unless(fleet, config, "maximumRetryAttempts", (0,), "repeats"),
        *unless(fleet, "gcp:cloudscheduler/job:Job", "retryConfig.retryCount", (0,), "repeats"),
    ]


def a_destroy_leaves_nothing_by_accident(fleet: Fleet) -> list[str]:
    """Buckets are deleted with their objects, names of secrets are free, enabled services are kept."""
    return [
        *(
            line
            for kind in (S3, GCS)
            for line in unless(fleet, kind, "forceDestroy", YES, "stays with its objects")
        ),
        *unless(fleet, "aws:secretsmanager/secret:Secret", "recoveryWindowInDays", (0,), "keeps its name"),
        *unless(fleet, "gcp:projects/service:Service", "disableOnDestroy", NO, "is switched off for others"),
        *(f"{each.label}: is never deleted" for each in fleet if each.retained and each.token not in STAYS),
    ]
