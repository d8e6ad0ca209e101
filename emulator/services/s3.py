"""Amazon S3, path style, as obstore's S3Store uses it. Signatures and grants are checked; no multipart
uploads.

Source: Amazon S3 API reference (PutObject, GetObject, HeadObject, DeleteObject(s), ListObjectsV2) and user
guide (`conditional-writes`: If-Match on a key without an object is 404). tests/opinions compares with moto.
"""

from __future__ import annotations

from datetime import UTC, datetime
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from emulator.desired.model import Bucket
from emulator.services.identity import Denied
from emulator.services.objects import ANY, MOST_LISTED, Condition, PreconditionFailed, Stored, listing
from emulator.services.services import ServiceRequest, ServiceResponse, Services, action
from emulator.services.sigv4 import Signed, verify

XMLNS = "http://s3.amazonaws.com/doc/2006-03-01/"
XML = {"content-type": "application/xml"}


def handle(request: ServiceRequest, services: Services) -> ServiceResponse:
    """One request to S3."""
    try:
        signed = Signed(request.method, request.target, request.headers, request.body)
        principal = verify(signed, "s3", services.identities, services.now())
        name, _, key = request.path.partition("/")
        bucket = services.bucket("aws", name)
        if bucket is None:
            return error(404, "NoSuchBucket", "The specified bucket does not exist")
        if key:
            return _object(request, services, bucket, (principal, key))
        if request.method == "GET":
            return _list(request, services, bucket, principal)
        if request.method == "POST" and "delete" in request.query:
            return _delete_many(request, services, bucket, principal)
    except Denied as denied:
        return error(denied.status, denied.code, denied.message)
    return error(405, "MethodNotAllowed", "The specified method is not allowed against this resource.")


def error(status: int, code: str, message: str, *, range: str = "") -> ServiceResponse:
    """An error document as S3 and GCS write it. range: content-range of an object, for an unsatisfiable
    range.
    """
    text = f"<Error><Code>{code}</Code><Message>{escape(message)}</Message></Error>"
    return ServiceResponse(status, {**XML, "content-range": range} if range else XML, text.encode())


def condition(request: ServiceRequest) -> Condition:
    """Conditional write by entity tag."""
    other = request.headers.get("if-none-match")
    return Condition(other == "*", request.headers.get("if-match"), not_etag=None if other == "*" else other)


def read(request: ServiceRequest, stored: Stored | None, extra: dict[str, str]) -> ServiceResponse:
    """GET or HEAD of an object, with the conditions and the single range of HTTP."""
    if stored is None:
        return error(404, "NoSuchKey", "The specified key does not exist.")
    headers = {
        "etag": stored.etag,
        "last-modified": stored.last_modified,
        "content-type": "application/octet-stream",
        "accept-ranges": "bytes",
        **extra,
    }
    if request.headers.get("if-none-match") == stored.etag:
        return ServiceResponse(304, headers)
    if request.headers.get("if-match", "*") not in ("*", stored.etag):
        return error(
            412, "PreconditionFailed", "At least one of the preconditions you specified did not hold."
        )
    return _ranged(request.headers.get("range", ""), stored, headers)


def _ranged(wanted: str, stored: Stored, headers: dict[str, str]) -> ServiceResponse:
    first, dash, last = wanted.removeprefix("bytes=").partition("-")
    if not dash:
        return ServiceResponse(200, headers, stored.body)
    size = stored.size
    start = int(first) if first else max(0, size - int(last))
    end = min(int(last), size - 1) if first and last else size - 1
    if start > end:
        return error(416, "InvalidRange", "The requested range is not satisfiable", range=f"bytes */{size}")
    headers["content-range"] = f"bytes {start}-{end}/{size}"
    return ServiceResponse(206, headers, stored.body[start : end + 1])


def _object(
    request: ServiceRequest, services: Services, bucket: Bucket, caller: tuple[str, str]
) -> ServiceResponse:
    principal, key = caller
    objects = services.open(bucket, principal, action(request.method), key)
    if (
        request.method == "PUT" and "if-match" in request.headers
    ):  # a comparison is a read: GetObject is needed too
        services.open(bucket, principal, "object:read", key)
    try:
        match request.method:
            case "GET" | "HEAD":
                return read(request, services.find(bucket, principal, key), {})
            case "PUT" if "if-match" in request.headers and objects.get(key) is None:
                return error(404, "NoSuchKey", "The specified key does not exist.")
            case "PUT":
                return ServiceResponse(200, {"etag": objects.put(key, request.body, condition(request)).etag})
            case "DELETE":
                objects.delete(key, condition(request) if objects.get(key) else ANY)
                return ServiceResponse(204)
            case _:
                return error(405, "MethodNotAllowed", "The specified method is not allowed.")
    except PreconditionFailed:
        return error(
            412, "PreconditionFailed", "At least one of the preconditions you specified did not hold."
        )


def _list(request: ServiceRequest, services: Services, bucket: Bucket, principal: str) -> ServiceResponse:
    objects = services.open(bucket, principal, "object:list", "")
    return listed(request, bucket.name, objects.list(request.query.get("prefix", "")))


def listed(request: ServiceRequest, name: str, objects: list[Stored]) -> ServiceResponse:
    """One page of a listing, as S3 (ListObjectsV2) and GCS's XML API write it."""
    query = request.query
    prefix, after = query.get("prefix", ""), query.get("continuation-token") or query.get("start-after", "")
    most = min(int(query.get("max-keys", MOST_LISTED)), MOST_LISTED)
    found = listing(objects, prefix, query.get("delimiter", ""), after, most)
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


def _delete_many(
    request: ServiceRequest, services: Services, bucket: Bucket, principal: str
) -> ServiceResponse:
    try:
        root = ElementTree.fromstring(request.body)  # noqa: S314 (own child, signed, 6 MB at most)
    except ElementTree.ParseError:
        return error(400, "MalformedXML", "The XML you provided was not well-formed.")
    done: list[str] = []
    for element in root.iter(f"{{{XMLNS}}}Key"):
        key = element.text or ""
        services.open(bucket, principal, "object:delete", key).delete(key)
        done.append(f"<Deleted><Key>{escape(key)}</Key></Deleted>")
    return ServiceResponse(200, XML, f'<DeleteResult xmlns="{XMLNS}">{"".join(done)}</DeleteResult>'.encode())
