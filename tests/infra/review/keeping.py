"""Review rules of stored data: buckets, secrets, encryption, retention, transport.

A rule is a pure function over all resources of a fleet and returns its findings. Exceptions are listed here
with their reasons.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from tests.infra.recorded import of_type
from tests.infra.review.facts import (
    FUNCTIONS,
    GCS,
    NO,
    S3,
    SITE,
    STORAGE,
    VAULT,
    YES,
    Fleet,
    at,
    companions,
    statements,
    unless,
)

BLOCK = "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock"
OWNERSHIP = "aws:s3/bucketOwnershipControls:BucketOwnershipControls"
ENCRYPTION = "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration"
LIFECYCLE = "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration"
POLICY = "aws:s3/bucketPolicy:BucketPolicy"
CONTAINER = "azure-native:storage:BlobContainer"
LOG_GROUP = "aws:cloudwatch/logGroup:LogGroup"
PASSWORDS = ("azure-native:web:WebAppFtpAllowed", "azure-native:web:WebAppScmAllowed")
# The types and properties that may contain a secret's value.
SECRET_STORES = {
    "aws:secretsmanager/secretVersion:SecretVersion": "secretString",
    "azure-native:keyvault:Secret": "properties",
    "gcp:secretmanager/secretVersion:SecretVersion": "secretData",
}
LOG_DAYS = range(7, 91)  # longer than a holiday, and not too long for the personal data in log lines
DAYS = {"health/": 7, "replies/": 2}


def no_bucket_is_public(fleet: Fleet) -> list[str]:
    """A setting of the bucket blocks public access, regardless of policies and objects."""
    sides = ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")
    return [
        *companions(fleet, S3, "bucket", (BLOCK, OWNERSHIP)),
        *(line for side in sides for line in unless(fleet, BLOCK, side, YES, "lets the public in")),
        *unless(fleet, OWNERSHIP, "rule.objectOwnership", ("BucketOwnerEnforced",), "has ACLs"),
        *unless(fleet, STORAGE, "allowBlobPublicAccess", NO, "may be public"),
        *unless(fleet, CONTAINER, "publicAccess", ("None",), "is public"),
        *unless(fleet, GCS, "publicAccessPrevention", ("enforced",), "may be public"),
        *unless(fleet, GCS, "uniformBucketLevelAccess", YES, "has ACLs"),
    ]


def data_is_encrypted_at_rest(fleet: Fleet) -> list[str]:
    """It is configured on AWS; Azure and Google always encrypt storage."""
    path = "rules.0.applyServerSideEncryptionByDefault.sseAlgorithm"
    return [
        *companions(fleet, S3, "bucket", (ENCRYPTION,)),
        *unless(fleet, ENCRYPTION, path, ("AES256", "aws:kms"), "does not encrypt"),
        *unless(fleet, "aws:sqs/queue:Queue", "sqsManagedSseEnabled", YES, "is not encrypted"),
    ]


def only_tls_is_taken(fleet: Fleet) -> list[str]:
    """The least version is TLS 1.2, and plain HTTP is refused."""
    found = companions(fleet, S3, "bucket", (POLICY,))
    for policy in of_type(fleet, POLICY):
        cloud_errors = [
            one
            for one in statements(policy.inputs["policy"])
            if (one["Effect"], one.get("Principal"), one["Action"]) == ("Deny", "*", ["s3:*"])
            and at(one, "Condition.Bool") == {"aws:SecureTransport": "false"}
            and len(one["Resource"]) == 2  # the bucket and its objects
        ]
        found += [] if cloud_errors else [f"{policy.label}: does not refuse plain HTTP"]
    for job in of_type(fleet, "gcp:cloudscheduler/job:Job"):
        https = str(at(job.inputs, "httpTarget.uri")).startswith("https://")
        found += [] if https else [f"{job.label}: calls plain HTTP"]
    return [
        *found,
        *unless(fleet, STORAGE, "enableHttpsTrafficOnly", YES, "takes plain HTTP"),
        *unless(fleet, STORAGE, "minimumTlsVersion", ("TLS1_2", "TLS1_3"), "takes old TLS"),
        *unless(fleet, SITE, "httpsOnly", YES, "takes plain HTTP"),
        *unless(fleet, SITE, "siteConfig.minTlsVersion", ("1.2", "1.3"), "takes old TLS"),
    ]


def secrets_are_only_in_secret_stores(fleet: Fleet) -> list[str]:
    """Random passwords and keys are only in secret stores, where they are marked as secret."""
    found: list[str] = []
    values = {"made-up-"}  # the prefix of every random password of the recorder
    for token, name in SECRET_STORES.items():
        for store in of_type(fleet, token):
            values |= set(keys_in(store.inputs[name]))
            if name not in store.secret_inputs:
                found.append(f"{store.label}: {name} is not marked as secret")
    for resource in fleet:
        if resource.token not in SECRET_STORES and not resource.token.startswith("random:"):
            shown = json.dumps(resource.inputs, default=str)
            found += [f"{resource.label}: shows a secret" for value in values if value in shown]
    return found


def keys_in(value: object) -> Iterator[str]:
    """Words of a secret's text with at least 32 hexadecimal digits."""
    for word in json.dumps(value).replace("\\", "").split('"'):
        if len(word) >= 32 and set(word) <= set("0123456789abcdef"):
            yield word


def no_password_opens_anything(fleet: Fleet) -> list[str]:
    """Deployment sites, storage, vaults and telemetry accept no passwords. Exception: the account of the
    packages, to which the provider uploads with a key; it contains nothing else."""
    others = [each for each in fleet if not (each.token == STORAGE and each.name.endswith("-packages"))]
    return [
        *unless(others, STORAGE, "allowSharedKeyAccess", NO, "has a shared key"),
        *companions(fleet, SITE, "name", PASSWORDS),
        *(line for kind in PASSWORDS for line in unless(fleet, kind, "allow", NO, "takes passwords")),
        *unless(fleet, VAULT, "properties.enableRbacAuthorization", YES, "has access policies"),
        *unless(fleet, "azure-native:applicationinsights:Component", "disableLocalAuth", YES, "takes keys"),
    ]


def what_callers_sent_is_deleted_in_time(fleet: Fleet) -> list[str]:
    """Replies are deleted after two days and snapshots after seven, without soft deletion."""
    found = companions(fleet, S3, "bucket", (LIFECYCLE,))
    for rules in of_type(fleet, LIFECYCLE):
        on = [rule for rule in rules.inputs["rules"] if rule["status"] == "Enabled"]
        days = {at(rule, "filter.prefix"): at(rule, "expiration.days") for rule in on}
        found += [] if days == DAYS else [f"{rules.label}: keeps {days}"]
    for policy in of_type(fleet, "azure-native:storage:ManagementPolicy"):
        age = "definition.actions.baseBlob.delete.daysAfterModificationGreaterThan"
        on = [rule for rule in policy.inputs["policy"]["rules"] if rule["enabled"]]
        # Azure's prefixes begin with the name of the container.
        days = {
            str(at(rule, "definition.filters.prefixMatch.0")).partition("/")[2]: at(rule, age) for rule in on
        }
        found += [] if days == DAYS else [f"{policy.label}: keeps {days}"]
    for bucket in of_type(fleet, GCS):
        deletes = [rule for rule in bucket.inputs["lifecycleRules"] if at(rule, "action.type") == "Delete"]
        days = {at(rule, "condition.matchesPrefixes.0"): at(rule, "condition.age") for rule in deletes}
        if bucket.name.endswith("-state") and days != DAYS:
            found.append(f"{bucket.label}: keeps {days}")
    soft = "softDeletePolicy.retentionDurationSeconds"
    return found + unless(fleet, GCS, soft, (0,), "keeps what was deleted, and bills it")


def a_vault_takes_a_deletion_back(fleet: Fleet) -> list[str]:
    """The retention is between a week and 90 days, Azure's bounds."""
    return [
        *unless(fleet, VAULT, "properties.enableSoftDelete", YES, "deletes at once"),
        *unless(fleet, VAULT, "properties.softDeleteRetentionInDays", range(7, 91), "keeps for too long"),
    ]


def logs_are_kept_for_a_known_time(fleet: Fleet) -> list[str]:
    """The retention is set before the first line is written. On Google `_Default` keeps 30 days."""
    named = {group.inputs["name"] for group in of_type(fleet, LOG_GROUP)}
    return [
        *unless(fleet, LOG_GROUP, "retentionInDays", LOG_DAYS, "keeps lines for too long or too short"),
        *unless(
            fleet, "azure-native:operationalinsights:Workspace", "retentionInDays", LOG_DAYS, "keeps lines"
        ),
        *unless(
            fleet, FUNCTIONS["aws"], "loggingConfig.logGroup", named, "writes to a group of its own making"
        ),
    ]
