"""HTTP APIs of objects in buckets: the flow of a request and HTTP's own rules, the same in all three clouds.

Source: RFC 9110, sections 13 (conditional requests) and 14 (a single range). Authentication, error documents,
listings and what a cloud does differently stand in the cloud's own file.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from emulator.desired.model import Bucket, Cloud
from emulator.services.identity import Denied
from emulator.services.objects import MOST_LISTED, Condition, Listing, PreconditionFailed, Stored, listing
from emulator.services.services import ServiceRequest, ServiceResponse, Services


class ObjectApi(ABC):
    """The storage API of one cloud."""

    cloud: Cloud

    def handle(self, request: ServiceRequest, services: Services) -> ServiceResponse:
        """One request: authenticate, find the bucket, then act on an object or on the bucket."""
        try:
            principal = self.principal(request, services)
            bucket, key = self.find(request, services, principal)
            if bucket is None:
                return self.no_bucket()
            if not key:
                return self.on_bucket(request, services, bucket, principal)
            try:
                return self.on_object(request, services, bucket, (principal, key))
            except PreconditionFailed:
                return self.unmet(request)
        except Denied as denied:
            return self.error(denied.status, denied.code, denied.message)

    def find(self, request: ServiceRequest, services: Services, principal: str) -> tuple[Bucket | None, str]:
        """Bucket and key of the path."""
        name, _, key = request.path.partition("/")
        return services.bucket(self.cloud, name), key

    def read(self, request: ServiceRequest, stored: Stored | None, extra: dict[str, str]) -> ServiceResponse:
        """GET or HEAD of an object, with the conditions and the single range of HTTP."""
        if stored is None:
            return self.no_object()
        headers = {
            "etag": stored.etag,
            "last-modified": stored.last_modified,
            "content-type": "application/octet-stream",
            "accept-ranges": "bytes",
            **extra,
        }
        if request.headers.get("if-none-match") == stored.etag:
            return self.unchanged(headers)
        if request.headers.get("if-match", "*") not in ("*", stored.etag):
            return self.unmet(request)
        return self._ranged(request.headers.get("range", ""), stored, headers)

    def _ranged(self, wanted: str, stored: Stored, headers: dict[str, str]) -> ServiceResponse:
        first, dash, last = wanted.removeprefix("bytes=").partition("-")
        if not dash:
            return ServiceResponse(200, headers, stored.body)
        size = stored.size
        start = int(first) if first else max(0, size - int(last))
        end = min(int(last), size - 1) if first and last else size - 1
        if start > end:
            return self.bad_range(f"bytes */{size}")
        headers["content-range"] = f"bytes {start}-{end}/{size}"
        return ServiceResponse(206, headers, stored.body[start : end + 1])

    def unchanged(self, headers: dict[str, str]) -> ServiceResponse:
        """If-None-Match has this entity tag."""
        return ServiceResponse(304, headers)

    @abstractmethod
    def principal(self, request: ServiceRequest, services: Services) -> str:
        """The caller. Raises Denied."""

    @abstractmethod
    def on_object(
        self, request: ServiceRequest, services: Services, bucket: Bucket, caller: tuple[str, str]
    ) -> ServiceResponse:
        """A request about one object. caller: the principal and the object's key. Raises Denied,
        PreconditionFailed."""

    @abstractmethod
    def on_bucket(
        self, request: ServiceRequest, services: Services, bucket: Bucket, principal: str
    ) -> ServiceResponse:
        """A request about the bucket itself, such as a listing. Raises Denied."""

    @abstractmethod
    def error(self, status: int, code: str, message: str) -> ServiceResponse:
        """An error document."""

    @abstractmethod
    def no_bucket(self) -> ServiceResponse:
        """The bucket does not exist."""

    @abstractmethod
    def no_object(self) -> ServiceResponse:
        """The object does not exist."""

    @abstractmethod
    def unmet(self, request: ServiceRequest) -> ServiceResponse:
        """A condition does not hold."""

    @abstractmethod
    def bad_range(self, content_range: str) -> ServiceResponse:
        """The range is not satisfiable."""


def condition(request: ServiceRequest) -> Condition:
    """The condition of a write by entity tag (S3, Azure)."""
    other = request.headers.get("if-none-match")
    return Condition(other == "*", request.headers.get("if-match"), not_etag=None if other == "*" else other)


def page(query: dict[str, str], objects: list[Stored], most: str, after: str) -> Listing:
    """The page of a listing that a query asks for. most: the parameter with the length of a page. after: the
    last name of the page before."""
    limit = min(int(query.get(most, MOST_LISTED)), MOST_LISTED)
    return listing(objects, query.get("prefix", ""), query.get("delimiter", ""), after, limit)
