"""Amazon S3, path style, as obstore's S3Store uses it. Signatures and grants are checked; no multipart
uploads.

Source: Amazon S3 API reference (PutObject, GetObject, HeadObject, DeleteObject(s), ListObjectsV2) and user
guide (`conditional-writes`: If-Match on a key without an object is 404). tests/opinions compares with moto.
"""

from __future__ import annotations

from datetime import UTC, datetime
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from emulator.desired.model import Bucket, Cloud
from emulator.services.object_api import ObjectApi, condition, page
from emulator.services.objects import ANY, MOST_LISTED, Stored
from emulator.services.services import ServiceRequest, ServiceResponse, Services, action
from emulator.services.sigv4 import Signed, verify

XMLNS = "http://s3.amazonaws.com/doc/2006-03-01/"
XML = {"content-type": "application/xml"}


def error_document(status: int, code: str, message: str, *, range: str = "") -> ServiceResponse:
    """An error document as S3 and GCS write it. range: content-range of an object, for an unsatisfiable
    range.
    """
    text = f"<Error><Code>{code}</Code><Message>{escape(message)}</Message></Error>"
    return ServiceResponse(status, {**XML, "content-range": range} if range else XML, text.encode())


def listed(request: ServiceRequest, name: str, objects: list[Stored]) -> ServiceResponse:
    """One page of a listing, as S3 (ListObjectsV2) and GCS's XML API write it."""
    query = request.query
    prefix, after = query.get("prefix", ""), query.get("continuation-token") or query.get("start-after", "")
    most = min(int(query.get("max-keys", MOST_LISTED)), MOST_LISTED)
    found = page(query, objects, "max-keys", after)
    entries = "".join(
        f"<Contents><Key>{escape(each.key)}</Key><LastModified>{iso(each)}</LastModified>"
        f"<ETag>{escape(each.etag)}</ETag><Size>{each.size}</Size></Contents>"
        for each in found.objects
    )
    groups = "".join(
        f"<CommonPrefixes><Prefix>{escape(each)}</Prefix></CommonPrefixes>" for each in found.prefixes
    )
    text = (
        f'<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="{XMLNS}"><Name>{escape(name)}</Name>'
        f"<Prefix>{escape(prefix)}</Prefix><MaxKeys>{most}</MaxKeys>"
        f"<KeyCount>{len(found.objects) + len(found.prefixes)}</KeyCount>"
        f"<IsTruncated>{'true' if found.after else 'false'}</IsTruncated>"
        + (f"<NextContinuationToken>{escape(found.after)}</NextContinuationToken>" if found.after else "")
        + f"{entries}{groups}</ListBucketResult>"
    )
    return ServiceResponse(200, XML, text.encode())


def iso(stored: Stored) -> str:
    """Time of the last change as ISO 8601."""
    return datetime.fromtimestamp(stored.modified, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class S3(ObjectApi):
    """Amazon S3."""

    cloud: Cloud = "aws"

    def principal(self, request: ServiceRequest, services: Services) -> str:
        signed = Signed(request.method, request.target, request.headers, request.body)
        return verify(signed, "s3", services.identities, services.now())

    def on_bucket(
        self, request: ServiceRequest, services: Services, bucket: Bucket, principal: str
    ) -> ServiceResponse:
        if request.method == "GET":
            objects = services.open(bucket, principal, "object:list", "")
            return listed(request, bucket.name, objects.list(request.query.get("prefix", "")))
        if request.method == "POST" and "delete" in request.query:
            return self._delete_many(request, services, bucket, principal)
        return self.error(
            405, "MethodNotAllowed", "The specified method is not allowed against this resource."
        )

    def on_object(
        self, request: ServiceRequest, services: Services, bucket: Bucket, caller: tuple[str, str]
    ) -> ServiceResponse:
        principal, key = caller
        objects = services.open(bucket, principal, action(request.method), key)
        if (
            request.method == "PUT" and "if-match" in request.headers
        ):  # a comparison is a read: GetObject is needed too
            services.open(bucket, principal, "object:read", key)
        match request.method:
            case "GET" | "HEAD":
                return self.read(request, services.find(bucket, principal, key), {})
            case "PUT" if "if-match" in request.headers and objects.get(key) is None:
                return self.no_object()
            case "PUT":
                return ServiceResponse(200, {"etag": objects.put(key, request.body, condition(request)).etag})
            case "DELETE":
                objects.delete(key, condition(request) if objects.get(key) else ANY)
                return ServiceResponse(204)
            case _:
                return self.error(405, "MethodNotAllowed", "The specified method is not allowed.")

    def _delete_many(
        self, request: ServiceRequest, services: Services, bucket: Bucket, principal: str
    ) -> ServiceResponse:
        try:
            root = ElementTree.fromstring(request.body)  # noqa: S314 (own child, signed, 6 MB at most)
        except ElementTree.ParseError:
            return self.error(400, "MalformedXML", "The XML you provided was not well-formed.")
        done: list[str] = []
        for element in root.iter(f"{{{XMLNS}}}Key"):
            key = element.text or ""
            services.open(bucket, principal, "object:delete", key).delete(key)
            done.append(f"<Deleted><Key>{escape(key)}</Key></Deleted>")
        return ServiceResponse(
            200, XML, f'<DeleteResult xmlns="{XMLNS}">{"".join(done)}</DeleteResult>'.encode()
        )

    def error(self, status: int, code: str, message: str) -> ServiceResponse:
        return error_document(status, code, message)

    def no_bucket(self) -> ServiceResponse:
        return error_document(404, "NoSuchBucket", "The specified bucket does not exist")

    def no_object(self) -> ServiceResponse:
        return error_document(404, "NoSuchKey", "The specified key does not exist.")

    def unmet(self, request: ServiceRequest) -> ServiceResponse:
        what = "At least one of the preconditions you specified did not hold."
        return error_document(412, "PreconditionFailed", what)

    def bad_range(self, content_range: str) -> ServiceResponse:
        what = "The requested range is not satisfiable"
        return error_document(416, "InvalidRange", what, range=content_range)
