"""S3: buckets with globally unique names, objects, and the settings of a bucket."""

from __future__ import annotations

from emulator.errors import CloudError
from emulator.providers.aws.common import BUCKET, OBJECT, region, tags_all
from emulator.providers.naming import Naming
from emulator.providers.resource_types import Context, NameHold, ResourceType
from emulator.providers.rules import Rule, is_policy, pattern, rules
from emulator.providers.storage import objects
from emulator.providers.storage.resource_store import Resource
from emulator.providers.values import Properties, text
from emulator.services.objects import keys_in

BUCKET_HELD_S, BUCKET_REPEATED_S = 60.0, 1200.0
BUCKET_NAME = r"(?!xn--|sthree-)[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]"


def _bucket(inputs: Properties, context: Context) -> Properties:
    name, where = text(inputs, "bucket"), region(inputs)
    return {
        "id": name,
        "arn": f"arn:aws:s3:::{name}",
        "bucketDomainName": f"{name}.s3.amazonaws.com",
        "bucketRegionalDomainName": f"{name}.s3.{where}.amazonaws.com",
        "bucketRegion": where,
        "hostedZoneId": "Z1BKCTXD74EZPE",
        "forceDestroy": inputs.get("forceDestroy", False),
        "objectLockEnabled": inputs.get("objectLockEnabled", False),
        **tags_all(inputs, context),
    }


def _make_folder(inputs: Properties, context: Context) -> None:
    objects.make_bucket(context.machine, "aws", text(inputs, "bucket"))


def _empty_or_forced(resource: Resource, context: Context) -> None:
    folder = objects.bucket_folder(context.machine, "aws", resource.id)
    left = keys_in(folder)
    if left and not resource.inputs.get("forceDestroy"):
        raise CloudError(
            "BucketNotEmpty",
            f"The bucket {resource.id} you tried to delete is not empty ({len(left)} objects, such as "
            f"{left[0]}); delete them, or set forceDestroy and deploy that first",
        )
    objects.remove_bucket(folder, context)


def _bucket_hold(resource: Resource) -> NameHold:
    """A deletion takes time to propagate; the provider repeats a refused creation for its whole timeout of
    twenty minutes (terraform-provider-aws, internal/service/s3/bucket.go).
    """
    said = "A conflicting conditional operation is currently in progress against this resource."
    return NameHold(BUCKET_HELD_S, "OperationAborted", f"{said} Please try again.", BUCKET_REPEATED_S)


def _bucket_exists(inputs: Properties, context: Context) -> None:
    name = text(inputs, "bucket")
    refusal = CloudError("NoSuchBucket", f"The specified bucket does not exist: {name}")
    context.need(BUCKET, "id", name, refusal)


def _upload(inputs: Properties, context: Context) -> None:
    given = [name for name in ("source", "content", "contentBase64") if name in inputs]
    if len(given) > 1:
        raise CloudError("InvalidArgument", f"an object has one content, not {' and '.join(given)}")
    target = objects.object_path(context.machine, "aws", text(inputs, "bucket"), text(inputs, "key"))
    written = objects.upload(inputs, target, context)
    objects.remember(written, target, context)
    context.private["md5"] = written.md5


def _object(inputs: Properties, context: Context) -> Properties:
    bucket, key = text(inputs, "bucket"), text(inputs, "key")
    return {
        "id": f"{bucket}/{key}",
        "arn": f"arn:aws:s3:::{bucket}/{key}",
        "etag": inputs.get("etag", context.private["md5"]),
        "contentType": inputs.get("contentType", "application/octet-stream"),
        "serverSideEncryption": inputs.get("serverSideEncryption", "AES256"),
        "storageClass": inputs.get("storageClass", "STANDARD"),
        "versionId": "null",
        "forceDestroy": inputs.get("forceDestroy", False),
        **tags_all(inputs, context),
    }


def _setting(name: str, *more: Rule) -> ResourceType:
    """A settings document of a bucket, with the bucket's name as its id."""
    return ResourceType(
        f"aws:s3/{name[0].lower()}{name[1:]}:{name}",
        lambda inputs, _: f"aws/{name}/{inputs['bucket']}",
        lambda inputs, _: {"id": inputs["bucket"]},
        force_new=frozenset(("bucket", "expectedBucketOwner", "region")),
        filled=("region",),
        rules=rules(*more),
        refers=_bucket_exists,
        exists="OperationAborted",
    )


RESOURCE_TYPES = (
    ResourceType(
        BUCKET,
        lambda inputs, _: f"aws/bucket/{inputs['bucket']}",
        _bucket,
        naming=Naming("bucket", "lower-dash", 63),
        force_new=frozenset(("bucket", "bucketPrefix", "objectLockEnabled", "region")),
        filled=("region",),
        rules=pattern("bucket", BUCKET_NAME, "must be 3 to 63 lower-case letters, digits, dots or hyphens"),
        effects=_make_folder,
        on_delete=_empty_or_forced,
        exists="BucketAlreadyOwnedByYou",
        hold=_bucket_hold,
    ),
    ResourceType(
        OBJECT,
        lambda inputs, _: f"aws/object/{inputs['bucket']}/{inputs['key']}",
        _object,
        volatile=("etag", "versionId"),
        naming=Naming("key", "exact", 1024),
        force_new=frozenset(("bucket", "key", "region")),
        filled=("region",),
        refers=_bucket_exists,
        effects=_upload,
        on_delete=objects.delete_object,
        alive=objects.object_alive,
        exists="PreconditionFailed",
    ),
    _setting("BucketPublicAccessBlock"),
    _setting("BucketServerSideEncryptionConfiguration"),
    _setting("BucketLifecycleConfiguration"),
    _setting("BucketVersioning"),
    _setting("BucketOwnershipControls"),
    _setting("BucketPolicy", is_policy("policy")),
)
