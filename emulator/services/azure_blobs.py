"""Azure Blob Storage (path style) as obstore's AzureStore uses it, and the managed identity endpoint.

Source: Blob service REST API (Put Blob, Get Blob, Get Blob Properties, Delete Blob, List Blobs, Blob Batch,
`specifying-conditional-headers-for-blob-service-operations`, `specifying-the-range-header`) and the App
Service managed identity REST protocol (api-version 2019-08-01). tests/opinions compares with Azurite.
"""

from __future__ import annotations

import json
from dataclasses import replace
from xml.sax.saxutils import escape

from emulator.desired.model import Bucket, Cloud
from emulator.services.identity import TOKEN_S
from emulator.services.object_api import ObjectApi, condition, page
from emulator.services.objects import Stored
from emulator.services.services import ServiceRequest, ServiceResponse, Services, action

JSON = {"content-type": "application/json"}
VERSION = {"x-ms-version": "2023-11-03"}
XML_HEAD = "<?xml version='1.0' encoding='utf-8'?>"


def _error(status: int, code: str, message: str) -> ServiceResponse:
    text = f"{XML_HEAD}<Error><Code>{code}</Code><Message>{escape(message)}</Message></Error>"
    return ServiceResponse(
        status, {"content-type": "application/xml", "x-ms-error-code": code, **VERSION}, text.encode()
    )


def _token(request: ServiceRequest, services: Services) -> ServiceResponse:
    secret = request.headers.get("x-identity-header", "")
    token = services.identities.mint("azure", secret, services.now())
    if token is None:
        return ServiceResponse(
            401, JSON, b'{"error":{"code":"Unauthorized","message":"X-IDENTITY-HEADER is wrong."}}'
        )
    answer = {
        "access_token": token,
        "expires_on": str(int(services.now() + TOKEN_S)),
        "resource": request.query.get("resource", ""),
        "token_type": "Bearer",
    }
    return ServiceResponse(200, JSON, json.dumps(answer).encode())


def _listed(request: ServiceRequest, objects: list[Stored]) -> ServiceResponse:
    query = request.query
    found = page(query, objects, "maxresults", query.get("marker", ""))
    blobs = "".join(
        f"<Blob><Name>{escape(each.key)}</Name><Properties>"
        f"<Last-Modified>{each.last_modified}</Last-Modified><Etag>{escape(each.etag)}</Etag>"
        f"<Content-Length>{each.size}</Content-Length>"
        f"<Content-Type>application/octet-stream</Content-Type><BlobType>BlockBlob</BlobType>"
        "</Properties></Blob>"
        for each in found.objects
    )
    groups = "".join(f"<BlobPrefix><Name>{escape(each)}</Name></BlobPrefix>" for each in found.prefixes)
    marker = f"<NextMarker>{escape(found.after)}</NextMarker>" if found.after else "<NextMarker />"
    text = f"{XML_HEAD}<EnumerationResults><Blobs>{blobs}{groups}</Blobs>{marker}</EnumerationResults>"
    return ServiceResponse(200, {"content-type": "application/xml", **VERSION}, text.encode())


class BlobStorage(ObjectApi):
    """Azure Blob Storage; the managed identity endpoint answers on the same port."""

    cloud: Cloud = "azure"

    def handle(self, request: ServiceRequest, services: Services) -> ServiceResponse:
        return _token(request, services) if request.path == "msi/token" else super().handle(request, services)

    def principal(self, request: ServiceRequest, services: Services) -> str:
        return services.identities.bearer("azure", request.headers.get("authorization", ""), services.now())

    def find(self, request: ServiceRequest, services: Services, principal: str) -> tuple[Bucket | None, str]:
        """Container and key of `account/container/key` or `container/key`.

        One endpoint serves all accounts here, so a client without an account gets the container that it may
        use.
        """
        path = request.path
        parts = path.split("/", 2)
        if len(parts) > 1 and (bucket := services.bucket("azure", "/".join(parts[:2]))) is not None:
            return bucket, "".join(parts[2:])
        name, _, key = path.partition("/")
        found = [
            each
            for each in services.desired().buckets
            if each.cloud == "azure" and each.name.endswith(f"/{name}")
        ]
        usable = [each for each in found if services.may(principal, each)]
        return next(iter(usable or found), None), key

    def on_bucket(
        self, request: ServiceRequest, services: Services, bucket: Bucket, principal: str
    ) -> ServiceResponse:
        match request.method, request.query.get("comp"):
            case "GET", "list":
                objects = services.open(bucket, principal, "object:list", "")
                return _listed(request, objects.list(request.query.get("prefix", "")))
            case "POST", "batch":
                return self._batch(request, services, bucket, principal)
            case _:
                return self.error(400, "InvalidQueryParameterValue", "This operation is not emulated.")

    def on_object(
        self, request: ServiceRequest, services: Services, bucket: Bucket, caller: tuple[str, str]
    ) -> ServiceResponse:
        principal, key = caller
        objects = services.open(bucket, principal, action(request.method), key)
        match request.method:
            case "GET" | "HEAD":
                ranged = request.headers.get("x-ms-range")  # takes precedence
                asked = {**request.headers, "range": ranged} if ranged else request.headers
                extra = {"x-ms-blob-type": "BlockBlob", **VERSION}
                return self.read(replace(request, headers=asked), objects.get(key), extra)
            case "PUT" if "comp" not in request.query and "x-ms-blob-type" not in request.headers:
                what = "An HTTP header that's mandatory for this request is not specified."
                return self.error(400, "MissingRequiredHeader", f"{what} x-ms-blob-type")
            case "PUT" if "comp" not in request.query:
                stored = objects.put(key, request.body, condition(request))
                return ServiceResponse(
                    201, {"etag": stored.etag, "last-modified": stored.last_modified, **VERSION}
                )
            case "DELETE" if objects.delete(key, condition(request)):
                return ServiceResponse(202, VERSION)
            case "DELETE":
                return self.no_object()
            case _:
                return self.error(400, "InvalidQueryParameterValue", "This operation is not emulated.")

    def _batch(
        self, request: ServiceRequest, services: Services, bucket: Bucket, principal: str
    ) -> ServiceResponse:
        """Blob Batch: several deletes in one multipart/mixed body."""
        boundary = request.headers.get("content-type", "").partition("boundary=")[2].strip('"')
        answers: list[str] = []
        for part in request.body.decode("latin-1").split(f"--{boundary}")[1:-1]:
            number = next(
                (line[12:] for line in part.split("\r\n") if line.lower().startswith("content-id: ")), "0"
            )
            line = next(
                (line for line in part.split("\r\n") if line.startswith("DELETE ")), "DELETE / HTTP/1.1"
            )
            inner = replace(request, method="DELETE", target=line.split(" ")[1], headers={})
            key = inner.path.removeprefix(f"{bucket.name}/").removeprefix(f"{bucket.name.partition('/')[2]}/")
            response = self.on_object(inner, services, bucket, (principal, key))
            answers.append(
                f"--{boundary}\r\nContent-Type: application/http\r\nContent-ID: {number}\r\n\r\n"
                f"HTTP/1.1 {response.status} Answer\r\nx-ms-version: 2023-11-03\r\n"
                + (
                    f"x-ms-error-code: {response.headers['x-ms-error-code']}\r\n"
                    if response.status >= 400
                    else ""
                )
                + "\r\n"
            )
        text = "".join(answers) + f"--{boundary}--\r\n"
        return ServiceResponse(
            202, {"content-type": f"multipart/mixed; boundary={boundary}", **VERSION}, text.encode("latin-1")
        )

    def error(self, status: int, code: str, message: str) -> ServiceResponse:
        return _error(status, code, message)

    def no_bucket(self) -> ServiceResponse:
        return _error(404, "ContainerNotFound", "The specified container does not exist.")

    def no_object(self) -> ServiceResponse:
        return _error(404, "BlobNotFound", "The specified blob does not exist.")

    def unchanged(self, headers: dict[str, str]) -> ServiceResponse:
        return ServiceResponse(304, {**headers, "x-ms-error-code": "ConditionNotMet"})

    def unmet(self, request: ServiceRequest) -> ServiceResponse:
        if request.method not in ("GET", "HEAD") and request.headers.get("if-none-match") == "*":
            return _error(409, "BlobAlreadyExists", "The specified blob already exists.")
        what = "The condition specified using HTTP conditional header(s) is not met."
        return _error(412, "ConditionNotMet", what)

    def bad_range(self, content_range: str) -> ServiceResponse:
        found = _error(416, "InvalidRange", "The range specified is invalid for the current size.")
        return replace(found, headers={**found.headers, "content-range": content_range})
