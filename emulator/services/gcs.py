"""Google Cloud Storage's XML API as obstore's GCSStore uses it, and the token part of the metadata server.

Conditions are by generation. Overwriting an object needs the permission to delete it (Google,
`access-control/iam-xml`: PUT Object). One metadata server serves all instances here, so each instance has its
own
path (GCE_METADATA_HOST), and its token stands for that instance's service account.
"""

from __future__ import annotations

import json

from emulator.desired.model import Bucket, Cloud
from emulator.services.identity import TOKEN_S
from emulator.services.object_api import ObjectApi
from emulator.services.objects import Condition
from emulator.services.s3 import error_document, listed
from emulator.services.services import ServiceRequest, ServiceResponse, Services, action

FLAVOR = {"metadata-flavor": "Google", "content-type": "application/json"}


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


class CloudStorage(ObjectApi):
    """Google Cloud Storage; its metadata server answers on the same port."""

    cloud: Cloud = "gcp"

    def handle(self, request: ServiceRequest, services: Services) -> ServiceResponse:
        if request.path.startswith("instance/"):
            return _metadata(request, services)
        return super().handle(request, services)

    def principal(self, request: ServiceRequest, services: Services) -> str:
        return services.identities.bearer("gcp", request.headers.get("authorization", ""), services.now())

    def on_bucket(
        self, request: ServiceRequest, services: Services, bucket: Bucket, principal: str
    ) -> ServiceResponse:
        if request.method != "GET":
            what = "The specified method is not allowed against this resource."
            return self.error(405, "MethodNotAllowed", what)
        objects = services.open(bucket, principal, "object:list", "")
        return listed(request, bucket.name, objects.list(request.query.get("prefix", "")))

    def on_object(
        self, request: ServiceRequest, services: Services, bucket: Bucket, caller: tuple[str, str]
    ) -> ServiceResponse:
        principal, key = caller
        objects = services.open(bucket, principal, action(request.method), key)
        if request.method == "PUT" and objects.get(key) is not None:
            services.open(bucket, principal, "object:delete", key)
        match request.method:
            case "GET" | "HEAD":
                stored = services.find(bucket, principal, key)
                return self.read(
                    request, stored, {"x-goog-generation": str(stored.generation)} if stored else {}
                )
            case "PUT":
                stored = objects.put(key, request.body, _condition(request))
                return ServiceResponse(
                    200, {"etag": stored.etag, "x-goog-generation": str(stored.generation)}
                )
            case "DELETE" if objects.delete(key, _condition(request)):
                return ServiceResponse(204)
            case "DELETE":
                return self.no_object()
            case _:
                return self.error(405, "MethodNotAllowed", "The specified method is not allowed.")

    def error(self, status: int, code: str, message: str) -> ServiceResponse:
        return error_document(status, code, message)

    def no_bucket(self) -> ServiceResponse:
        return error_document(404, "NoSuchBucket", "The specified bucket does not exist.")

    def no_object(self) -> ServiceResponse:
        return error_document(404, "NoSuchKey", "The specified key does not exist.")

    def unmet(self, request: ServiceRequest) -> ServiceResponse:
        what = "At least one of the pre-conditions you specified did not hold."
        return error_document(412, "PreconditionFailed", what)

    def bad_range(self, content_range: str) -> ServiceResponse:
        what = "The requested range is not satisfiable"
        return error_document(416, "InvalidRange", what, range=content_range)
