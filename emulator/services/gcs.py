"""Google Cloud Storage's XML API, as obstore's GCSStore uses it, and the part of the metadata server that
it asks.

Conditions are by generation. Writing over an object needs the permission to delete it (Google,
`access-control/iam-xml`: PUT Object). The metadata server is one for all instances here, so each instance
finds it under a path of its own (GCE_METADATA_HOST), and the token it gets stands for that instance's service
account.
"""

from __future__ import annotations

import json

from emulator.desired.state import Bucket
from emulator.services.identity import TOKEN_S, Denied
from emulator.services.objects import Condition, PreconditionFailed
from emulator.services.s3 import error, listed, read
from emulator.services.services import Asked, Services, Told, action

FLAVOR = {"metadata-flavor": "Google", "content-type": "application/json"}


def handle(asked: Asked, services: Services) -> Told:
    """One request to the metadata server or to the storage."""
    if asked.path.startswith("instance/"):
        return _metadata(asked, services)
    try:
        principal = services.identities.bearer("gcp", asked.headers.get("authorization", ""), services.now())
        name, _, key = asked.path.partition("/")
        bucket = services.bucket("gcp", name)
        if bucket is None:
            return error(404, "NoSuchBucket", "The specified bucket does not exist.")
        if key:
            return _object(asked, services, bucket, (principal, key))
        if asked.method == "GET":
            objects = services.open(bucket, principal, "object:list", "")
            return listed(asked, name, objects.list(asked.query.get("prefix", "")))
    except Denied as denied:
        return error(denied.status, denied.code, denied.message)
    return error(405, "MethodNotAllowed", "The specified method is not allowed against this resource.")


def _metadata(asked: Asked, services: Services) -> Told:
    _, secret, path = asked.path.split("/", 2) if asked.path.count("/") > 1 else ("", "", "")
    if asked.headers.get("metadata-flavor", "").lower() != "google":
        return Told(403, {}, b"Missing required header Metadata-Flavor: Google")
    if not path.endswith("/service-accounts/default/token"):
        return Told(404, FLAVOR)
    token = services.identities.mint("gcp", secret, services.now())
    if token is None:
        return Told(404, FLAVOR)
    answer = {"access_token": token, "expires_in": int(TOKEN_S), "token_type": "Bearer"}
    return Told(200, FLAVOR, json.dumps(answer).encode())


def _condition(asked: Asked) -> Condition:
    wanted = asked.headers.get("x-goog-if-generation-match")
    return Condition(wanted == "0", None, int(wanted) if wanted and wanted != "0" else None)


def _object(asked: Asked, services: Services, bucket: Bucket, who: tuple[str, str]) -> Told:
    principal, key = who
    objects = services.open(bucket, principal, action(asked.method), key)
    if asked.method == "PUT" and objects.get(key) is not None:
        services.open(bucket, principal, "object:delete", key)
    try:
        match asked.method:
            case "GET" | "HEAD":
                stored = services.find(bucket, principal, key)
                return read(asked, stored, {"x-goog-generation": str(stored.generation)} if stored else {})
            case "PUT":
                stored = objects.put(key, asked.body, _condition(asked))
                return Told(200, {"etag": stored.etag, "x-goog-generation": str(stored.generation)})
            case "DELETE" if objects.delete(key, _condition(asked)):
                return Told(204)
            case "DELETE":
                return error(404, "NoSuchKey", "The specified key does not exist.")
            case _:
                return error(405, "MethodNotAllowed", "The specified method is not allowed.")
    except PreconditionFailed:
        return error(
            412, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold."
        )
