"""AWS: the actions that each resource type needs and the resources that they act on, as an IAM policy.

Sources: the calls in the provider's create, read, update and delete (hashicorp/terraform-provider-aws,
`internal/service/*`, which pulumi-aws carries), with the names of the Service Authorization Reference. The
read of a function also reads its versions and its code signing, the read of a bucket each of its settings.
Names of resources are those of infra.names: they begin with `skyfleet-` unless `skyfleet:name` differs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from infra.clouds.aws.web_adapter import LAYER_ACCOUNT, LAYER_NAME

NAME = "skyfleet-*"
BUCKET, OBJECTS = f"arn:aws:s3:::{NAME}", f"arn:aws:s3:::{NAME}/*"
LAMBDA = f"arn:aws:lambda:*:*:function:{NAME}"
ROLE = f"arn:aws:iam::*:role/{NAME}"
SECRET = f"arn:aws:secretsmanager:*:*:secret:{NAME}"
LOGS = f"arn:aws:logs:*:*:log-group:/aws/lambda/{NAME}"
ANY = "*"
# Roles are handed to these services only.
PASSED_TO = ("lambda.amazonaws.com", "scheduler.amazonaws.com")
PASS_ROLE = "iam:PassRole"  # noqa: S105 (an action's name)


@dataclass(frozen=True, slots=True)
class Allowed:
    """Actions of one service on one kind of resource."""

    service: str
    actions: str
    resource: str

    @property
    def names(self) -> list[str]:
        return [f"{self.service}:{action}" for action in self.actions.split()]


# By invoke of infra/preflight/provider_calls.py; the provider reads a quota's default besides its value
# (terraform-provider-aws, internal/service/servicequotas/service_quota_data_source.go).
INVOKES: Mapping[str, tuple[Allowed, ...]] = {
    "aws:index/getRegions:getRegions": (Allowed("ec2", "DescribeRegions", ANY),),
    "aws:servicequotas/getServiceQuota:getServiceQuota": (
        Allowed("servicequotas", "GetServiceQuota GetAWSDefaultServiceQuota", ANY),
    ),
}
TYPES: Mapping[str, tuple[Allowed, ...]] = {
    "aws:cloudwatch/logGroup:LogGroup": (
        Allowed("logs", "CreateLogGroup DeleteLogGroup PutRetentionPolicy DeleteRetentionPolicy", LOGS),
        Allowed("logs", "TagResource UntagResource ListTagsForResource", LOGS),
        Allowed("logs", "DescribeLogGroups", ANY),
    ),
    "aws:cloudwatch/metricAlarm:MetricAlarm": (
        Allowed(
            "cloudwatch",
            "PutMetricAlarm DeleteAlarms TagResource UntagResource ListTagsForResource",
            f"arn:aws:cloudwatch:*:*:alarm:{NAME}",
        ),
        Allowed("cloudwatch", "DescribeAlarms", ANY),
    ),
    "aws:iam/role:Role": (
        Allowed(
            "iam", "CreateRole GetRole UpdateRole UpdateRoleDescription DeleteRole TagRole UntagRole", ROLE
        ),
        Allowed("iam", "UpdateAssumeRolePolicy ListRolePolicies ListAttachedRolePolicies", ROLE),
        Allowed("iam", "ListInstanceProfilesForRole", ROLE),
    ),
    "aws:iam/rolePolicy:RolePolicy": (Allowed("iam", "PutRolePolicy GetRolePolicy DeleteRolePolicy", ROLE),),
    "aws:lambda/function:Function": (
        Allowed("lambda", "CreateFunction GetFunction GetFunctionConfiguration DeleteFunction", LAMBDA),
        Allowed("lambda", "UpdateFunctionCode UpdateFunctionConfiguration ListVersionsByFunction", LAMBDA),
        Allowed(
            "lambda", "GetFunctionCodeSigningConfig PutFunctionConcurrency DeleteFunctionConcurrency", LAMBDA
        ),
        Allowed("lambda", "TagResource UntagResource ListTags", LAMBDA),
        Allowed("lambda", "GetLayerVersion", f"arn:aws:lambda:*:{LAYER_ACCOUNT}:layer:{LAYER_NAME}:*"),
        Allowed("s3", "GetObject", OBJECTS),  # Lambda fetches the package as its caller
        Allowed("iam", "PassRole", ROLE),
    ),
    "aws:lambda/functionEventInvokeConfig:FunctionEventInvokeConfig": (
        Allowed(
            "lambda",
            "PutFunctionEventInvokeConfig GetFunctionEventInvokeConfig DeleteFunctionEventInvokeConfig",
            LAMBDA,
        ),
    ),
    "aws:lambda/functionUrl:FunctionUrl": (
        Allowed("lambda", "CreateFunctionUrlConfig GetFunctionUrlConfig UpdateFunctionUrlConfig", LAMBDA),
        # The provider lets the public in by itself when there is no authorization.
        Allowed("lambda", "DeleteFunctionUrlConfig AddPermission RemovePermission", LAMBDA),
    ),
    "aws:lambda/permission:Permission": (
        Allowed("lambda", "AddPermission RemovePermission GetPolicy", LAMBDA),
    ),
    "aws:s3/bucket:Bucket": (
        Allowed("s3", "CreateBucket DeleteBucket ListBucket ListBucketVersions GetBucketLocation", BUCKET),
        Allowed("s3", "GetBucketAcl GetBucketCORS GetBucketLogging GetBucketPolicy GetBucketTagging", BUCKET),
        Allowed("s3", "GetBucketVersioning GetBucketWebsite GetBucketRequestPayment", BUCKET),
        Allowed("s3", "GetAccelerateConfiguration GetReplicationConfiguration", BUCKET),
        Allowed("s3", "GetBucketObjectLockConfiguration GetEncryptionConfiguration", BUCKET),
        Allowed("s3", "GetLifecycleConfiguration PutBucketTagging", BUCKET),
        Allowed("s3", "TagResource UntagResource ListTagsForResource", BUCKET),
        Allowed("s3", "DeleteObject DeleteObjectVersion", OBJECTS),  # what is in it goes with it
    ),
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": (
        Allowed("s3", "PutLifecycleConfiguration GetLifecycleConfiguration", BUCKET),
    ),
    "aws:s3/bucketObjectv2:BucketObjectv2": (
        Allowed("s3", "PutObject GetObject DeleteObject GetObjectTagging PutObjectTagging", OBJECTS),
        Allowed("s3", "ListBucket", BUCKET),
    ),
    "aws:s3/bucketOwnershipControls:BucketOwnershipControls": (
        Allowed("s3", "PutBucketOwnershipControls GetBucketOwnershipControls", BUCKET),
    ),
    "aws:s3/bucketPolicy:BucketPolicy": (
        Allowed("s3", "PutBucketPolicy GetBucketPolicy DeleteBucketPolicy", BUCKET),
    ),
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": (
        Allowed("s3", "PutBucketPublicAccessBlock GetBucketPublicAccessBlock", BUCKET),
    ),
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": (
        Allowed("s3", "PutEncryptionConfiguration GetEncryptionConfiguration", BUCKET),
    ),
    "aws:scheduler/schedule:Schedule": (
        Allowed(
            "scheduler",
            "CreateSchedule GetSchedule UpdateSchedule DeleteSchedule",
            f"arn:aws:scheduler:*:*:schedule/default/{NAME}",
        ),
        Allowed("iam", "PassRole", ROLE),
    ),
    "aws:secretsmanager/secret:Secret": (
        Allowed("secretsmanager", "CreateSecret DescribeSecret UpdateSecret DeleteSecret", SECRET),
        Allowed("secretsmanager", "GetResourcePolicy TagResource UntagResource", SECRET),
    ),
    "aws:secretsmanager/secretVersion:SecretVersion": (
        Allowed("secretsmanager", "PutSecretValue GetSecretValue DescribeSecret", SECRET),
        Allowed("secretsmanager", "UpdateSecretVersionStage ListSecretVersionIds", SECRET),
    ),
    "aws:sqs/queue:Queue": (
        Allowed(
            "sqs",
            "CreateQueue GetQueueAttributes SetQueueAttributes DeleteQueue GetQueueUrl "
            "TagQueue UntagQueue ListQueueTags",
            f"arn:aws:sqs:*:*:{NAME}",
        ),
    ),
}


def policy() -> dict[str, object]:
    """An IAM policy document: one statement for each kind of resource."""
    by_resource: dict[str, set[str]] = {}
    for allowed in (each for entry in (*INVOKES.values(), *TYPES.values()) for each in entry):
        by_resource.setdefault(allowed.resource, set()).update(allowed.names)
    passing = {
        "Effect": "Allow",
        "Action": PASS_ROLE,
        "Resource": ROLE,
        "Condition": {"StringEquals": {"iam:PassedToService": list(PASSED_TO)}},
    }
    plain = [
        {"Effect": "Allow", "Action": sorted(actions - {PASS_ROLE}), "Resource": resource}
        for resource, actions in by_resource.items()
    ]
    return {"Version": "2012-10-17", "Statement": [*plain, passing]}
