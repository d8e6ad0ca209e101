"""Cloud Storage: buckets with globally unique names, objects with generations.

Deleted and overwritten objects are kept and billed for seven days, unless the bucket says otherwise;
lifecycle
rules do not change that: cloud.google.com/storage/docs/soft-delete
"""

from __future__ import annotations

from emulator.errors import CloudError
from emulator.providers.gcp.common import BUCKET, OBJECT, PROJECT_NUMBER, labels, named
from emulator.providers.resource_types import Context, ResourceType
from emulator.providers.rules import one_of, pattern, rule, rules
from emulator.providers.storage import objects
from emulator.providers.storage.assets import base64_of
from emulator.providers.storage.resource_store import Resource
from emulator.providers.values import Json, Properties, number, text
from emulator.services.objects import keys_in

SOFT_DELETE_S = 604800.0
API = "https://www.googleapis.com/storage/v1/b"


def _is_soft_delete(seconds: Json) -> bool:
    return seconds == 0 or (isinstance(seconds, int | float) and SOFT_DELETE_S <= seconds <= 7776000)


def _bucket(inputs: Properties, context: Context) -> Properties:
    name = text(inputs, "name")
    return {
        "id": name,
        "url": f"gs://{name}",
        "selfLink": f"{API}/{name}",
        "location": text(inputs, "location").upper(),
        "projectNumber": int(PROJECT_NUMBER),
        "storageClass": inputs.get("storageClass", "STANDARD"),
        "timeCreated": context.keep("timeCreated", context.timestamp),
        "updated": context.timestamp(),
        **labels(inputs),
    }


def _make_folder(inputs: Properties, context: Context) -> None:
    objects.make_bucket(context.machine, "gcp", text(inputs, "name"))


def _empty_or_forced(resource: Resource, context: Context) -> None:
    folder = objects.bucket_folder(context.machine, "gcp", resource.id)
    left = keys_in(folder)
    if left and not resource.inputs.get("forceDestroy"):
        raise CloudError(
            "conflict",
            f"trying to delete bucket {resource.id} containing {len(left)} objects, such as {left[0]}, "
            "without `forceDestroy` set to true; delete them, or set forceDestroy and deploy that first",
        )
    objects.remove_bucket(folder, context)
    kept = number(resource.inputs, "softDeletePolicy", "retentionDurationSeconds", default=SOFT_DELETE_S)
    if kept:
        context.leave(
            f"gcp/softDeleted/{resource.id}",
            f"soft-deleted objects of the bucket {resource.id}",
            costs="as stored objects: 0.02 USD per GiB and month",
            seconds=kept,
        )


def _bucket_exists(inputs: Properties, context: Context) -> None:
    name = text(inputs, "bucket")
    missing = CloudError("notFound", f"The specified bucket does not exist: {name}")
    context.need(BUCKET, "name", name, missing)


def _upload(inputs: Properties, context: Context) -> None:
    if ("source" in inputs) == ("content" in inputs):
        raise CloudError("invalid", "an object has either source or content")
    target = objects.object_path(context.machine, "gcp", text(inputs, "bucket"), text(inputs, "name"))
    written = objects.upload(inputs, target, context)
    objects.remember(written, target, context)
    context.private["md5"] = written.md5
    context.private["generation"] = target.stat().st_mtime_ns


def _object(inputs: Properties, context: Context) -> Properties:
    bucket, name = text(inputs, "bucket"), text(inputs, "name")
    return {
        "id": f"{bucket}-{name}",
        "outputName": name,
        "md5hash": base64_of(context.private["md5"]),
        "md5hexhash": context.private["md5"],
        "generation": context.private["generation"],
        "selfLink": f"{API}/{bucket}/o/{name}",
        "mediaLink": f"{API}/{bucket}/o/{name}?alt=media&generation={context.private['generation']}",
        "storageClass": inputs.get("storageClass", "STANDARD"),
        "contentType": inputs.get("contentType", "application/octet-stream"),
    }


RESOURCE_TYPES = (
    ResourceType(
        BUCKET,
        lambda inputs, _: f"gcp/bucket/{inputs['name']}",
        _bucket,
        naming=named(),
        force_new=frozenset(("name", "location", "project", "hierarchicalNamespace")),
        filled=("project",),
        rules=rules(
            pattern(
                "name",
                r"(?!goog)[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]",
                "must be 3 to 63 lower-case letters, digits or -_. and not start with goog",
            ),
            pattern("location", r"[A-Za-z]{2,4}|[A-Za-z]+-[A-Za-z]+\d+|[A-Za-z]+\d+", "must be a location"),
            one_of("publicAccessPrevention", "enforced", "inherited"),
            rule(
                "softDeletePolicy.retentionDurationSeconds",
                _is_soft_delete,
                "must be 0, or 604800 (7 days) to 7776000 (90 days)",
            ),
        ),
        effects=_make_folder,
        on_delete=_empty_or_forced,
        exists="conflict",
    ),
    ResourceType(
        OBJECT,
        lambda inputs, _: f"gcp/object/{inputs['bucket']}/{inputs['name']}",
        _object,
        volatile=("generation", "md5hash", "md5hexhash", "mediaLink"),
        naming=named(limit=1024),
        force_new=frozenset(("bucket", "name")),
        refers=_bucket_exists,
        effects=_upload,
        on_delete=objects.delete_object,
        alive=objects.object_alive,
        exists="conflict",
    ),
)
