"""Amazon: what all functions of one region share: a private bucket."""

from __future__ import annotations

import pulumi
import pulumi_aws as aws

from infra.clouds.aws.iam import policy, statement
from infra.component import Fleet
from infra.config.model import Place

HEALTH_PREFIX = "health/"
CONTROL_OBJECT = "control.json"  # what operators changed while running; kept until they change it again
REPLIES_PREFIX = "replies/"
HEALTH_DAYS = 7  # a snapshot is stale after minutes; a week is kept to look back
REPLIES_DAYS = 2  # a reply is promised for one day, and no cloud is to delete it early
# Deleted at once: while a deletion could be taken back, the name stays taken, and a region that is put back
# into the stack would be refused for a week. What is in these secrets is made again by the next deployment.
SECRET_RECOVERY_DAYS = 0


class RegionBase(pulumi.ComponentResource):
    """What all functions of one region share: a private bucket."""

    def __init__(self, fleet: Fleet, place: Place) -> None:
        name = f"aws-{place.region}"
        super().__init__("skyfleet:aws:RegionBase", name)
        self.fleet, self.place = fleet, place
        self._child = pulumi.ResourceOptions(parent=self)
        tags = fleet.labels("shared")

        self.bucket = aws.s3.Bucket(
            name,
            bucket=fleet.unique(f"{fleet.prefix}-{place.region}", 63),
            force_destroy=True,  # holds only packages and snapshots, which are made again
            region=place.region,
            tags=tags,
            opts=self._child,
        )
        self._guard(name)
        self._keep(name)
        self.register_outputs({"bucket": self.bucket.bucket})

    def _guard(self, name: str) -> None:
        """No public access, and no access at all over plain HTTP."""
        bucket, region = self.bucket.bucket, self.place.region
        block = aws.s3.BucketPublicAccessBlock(
            name,
            bucket=bucket,
            block_public_acls=True,
            block_public_policy=True,
            ignore_public_acls=True,
            restrict_public_buckets=True,
            region=region,
            opts=self._child,
        )
        aws.s3.BucketOwnershipControls(
            name,
            bucket=bucket,
            rule=aws.s3.BucketOwnershipControlsRuleArgs(object_ownership="BucketOwnerEnforced"),
            region=region,
            opts=self._child,
        )
        # Beside the public access block, because S3 lets two changes of a bucket's policy state collide.
        tls_only = self.bucket.arn.apply(
            lambda arn: (
                statement("Deny", ["s3:*"], [arn, f"{arn}/*"])
                | {"Principal": "*", "Condition": {"Bool": {"aws:SecureTransport": "false"}}}
            )
        )
        aws.s3.BucketPolicy(
            name,
            bucket=bucket,
            policy=policy(tls_only),
            region=region,
            opts=pulumi.ResourceOptions(parent=self, depends_on=[block]),
        )

    def _keep(self, name: str) -> None:
        """What is in the bucket is encrypted, and old snapshots and replies go by themselves."""
        bucket, region = self.bucket.bucket, self.place.region
        aes = aws.s3.BucketServerSideEncryptionConfigurationRuleApplyServerSideEncryptionByDefaultArgs(
            sse_algorithm="AES256"
        )
        aws.s3.BucketServerSideEncryptionConfiguration(
            name,
            bucket=bucket,
            rules=[
                aws.s3.BucketServerSideEncryptionConfigurationRuleArgs(
                    apply_server_side_encryption_by_default=aes
                )
            ],
            region=region,
            opts=self._child,
        )
        aws.s3.BucketLifecycleConfiguration(
            name,
            bucket=bucket,
            rules=[
                _expiry("old-snapshots", HEALTH_PREFIX, HEALTH_DAYS),
                _expiry("old-replies", REPLIES_PREFIX, REPLIES_DAYS),
            ],
            region=region,
            opts=self._child,
        )


def _expiry(what: str, prefix: str, days: int) -> aws.s3.BucketLifecycleConfigurationRuleArgs:
    return aws.s3.BucketLifecycleConfigurationRuleArgs(
        id=what,
        status="Enabled",
        filter=aws.s3.BucketLifecycleConfigurationRuleFilterArgs(prefix=prefix),
        expiration=aws.s3.BucketLifecycleConfigurationRuleExpirationArgs(days=days),
    )
