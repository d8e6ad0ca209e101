"""Google Cloud Storage's XML API as obstore's GCSStore uses it, and the token part of the metadata server.

Conditions are by generation. Overwriting an object needs the permission to delete it (Google,
`access-control/iam-xml`: PUT Object). One metadata server serves all instances here, so each instance has its
own
path (GCE_METADATA_HOST), and its token stands for that instance's service account.
"""

from __future__ import annotations

import json

from emulator.desired.model import Bucket
from emulator.services.identity import TOKEN_S, Denied
from emulator.services.objects import Condition, PreconditionFailed
from emulator.services.s3 import error, listed, read
from emulator.services.services import ServiceRequest, ServiceResponse, Services, action

FLAVOR = {"metadata-flavor": "Google", "content-type": "application/json"}


def handle(request: ServiceRequest, services: Services) -> ServiceResponse:
    """One request to the metadata server or to the storage."""
    if request.path.startswith("instance/"):
        return _metadata(request, services)
    try:
        principal = services.identities.bearer(
            "gcp", request.headers.get("authorization", ""), services.now()
        )
        name, _, key = request.path.partition("/")
        bucket = services.bucket("gcp", name)
        if bucket is None:
            return error(404, "NoSuchBucket", "The specified bucket does not exist.")
        if key:
            return _object(request, services, bucket, (principal, key))
        if request.method == "GET":
            objects = services.open(bucket, principal, "object:list", "")
            return listed(request, name, objects.list(request.query.get("prefix", "")))
    except Denied as denied:
        return error(denied.status, denied.code, denied.message)
    return error(405, "MethodNotAllowed", "The specified method is not allowed against this resource.")


def _metadata(request: ServiceRequest, services: Services) -> ServiceResponse:
    _, secret, path = request.path.split("/", 2) if request.path.count("/") > 1 else ("", "", "")
    if request.headers.get("metadata-flavor", "").lower() != "google":
        return ServiceResponse(403, {}, b"Missing required header Metadata-Flavor: Google")
    if not path.endswith("/service-accounts/default/token"):
        return ServiceResponse(404, FLAVOR)
    token = services.identities.mint("gcp", secret, services.now())
    if token is None:
        return ServiceResponse(404, FLAVOR)
    answer = {"access_token": token, "expires_in": int(TOKEN_S), "token_type": "Bearer"}
    return ServiceResponse(200, FLAVOR, json.dumps(answer).encode())


def _condition(request: ServiceRequest) -> Condition:
    wanted = request.headers.get("x-goog-if-generation-match")
    return Condition(wanted == "0", None, int(wanted) if wanted and wanted != "0" else None)


def _object(
    request: ServiceRequest, services: Services, bucket: Bucket, caller: tuple[str, str]
) -> ServiceResponse:
    principal, key = caller
    objects = services.open(bucket, principal, action(request.method), key)
    if request.method == "PUT" and objects.get(key) is not None:
        services.open(bucket, principal, "object:delete", key)
    try:
        match request.method:
            case "GET" | "HEAD":
                stored = services.find(bucket, principal, key)
                return read(request, stored, {"x-goog-generation": str(stored.generation)} if stored else {})
            case "PUT":
                stored = objects.put(key, request.body, _condition(request))
                return ServiceResponse(
                    200, {"etag": stored.etag, "x-goog-generation": str(stored.generation)}
                )
            case "DELETE" if objects.delete(key, _condition(request)):
                return ServiceResponse(204)
            case "DELETE":
                return error(404, "NoSuchKey", "The specified key does not exist.")
            case _:
                return error(405, "MethodNotAllowed", "The specified method is not allowed.")
    except PreconditionFailed:
        return error(
            412, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold."
        )
