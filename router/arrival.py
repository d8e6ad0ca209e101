"""A request from its head to its begin: what is known of it, and what its body may take of the memory.

Rule: each body that is counted is given back once, by the request that begins or by the one that never does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from router.core.errors import CallerError
from router.net.errors import InvalidRequest
from router.proxy.context import Context, Request
from router.proxy.forward import Forwarder
from router.proxy.held import UNCOUNTED, HeldBodies, HeldBody
from skyfleet.asgi import JSON_TYPE, BodyTooLarge, Header, error_json
from skyfleet.cors import READABLE
from skyfleet.http1.direct import ClientResponse, Refusal
from skyfleet.http1.head import decoded_path

if TYPE_CHECKING:
    from skyfleet.http1.head import RequestHead


class Arrival:
    """A request before its body is here. nonce: for the signature of its first attempt. After `expect` it is
    what a server calls that takes the router directly (`skyfleet.http1.direct.Begin`)."""

    __slots__ = (
        "_bodies",
        "_context",
        "_head",
        "_response",
        "at",
        "cors",
        "drop",
        "forwarded",
        "held",
        "id",
        "keyless",
        "nonce",
    )

    _bodies: HeldBodies
    _context: Context
    _head: RequestHead
    _response: ClientResponse

    def __init__(
        self, ident: bytes, nonce: str, forwarded: bytes, cors: tuple[Header, ...], at: float
    ) -> None:
        self.id, self.nonce, self.forwarded, self.cors, self.at = ident, nonce, forwarded, cors, at
        self.drop = frozenset[bytes]()
        self.keyless = False
        self.held: HeldBody | None = None

    def grow(self, bodies: HeldBodies, size: int) -> None:
        """So many bytes of its body are here, or declared. Raises BodyTooLarge, CallerError."""
        if size > UNCOUNTED:
            if self.held is None:
                self.held = HeldBody(bodies)
            self.held.grow(size)

    def gone(self) -> None:
        """Its body is not held any more, and it will not begin."""
        if self.held is not None:
            self.held.release()

    def request(
        self,
        method: str,
        target: bytes,
        path: str,
        query: bytes,
        headers: list[Header],
        by_name: Mapping[bytes, bytes],
        body: bytes,
    ) -> Request:
        """The complete request."""
        return Request(
            method,
            target,
            path,
            query,
            headers,
            by_name,
            body,
            self.id,
            self.drop,
            self.at,
            self.nonce,
            self.keyless,
            self.forwarded,
            self.cors,
            self.held,
        )

    # A server that takes the router directly calls these.

    def expect(
        self, bodies: HeldBodies, context: Context, head: RequestHead, response: ClientResponse
    ) -> None:
        """Its body is to come, and then it is forwarded."""
        self._bodies, self._context, self._head, self._response = bodies, context, head, response

    def __call__(self, body: bytes) -> Forwarder:
        """Forward it. Raises Refusal."""
        head = self._head
        target = head.target
        path, _, query = target.partition(b"?")
        try:
            if len(body) > UNCOUNTED:
                self.grow(self._bodies, len(body))
            request = self.request(
                head.method, target, decoded_path(path), query, head.fields, head.by_name, body
            )
            forwarder = Forwarder(self._context, request, self._response)
        except (InvalidRequest, BodyTooLarge, CallerError) as error:
            self.gone()
            raise refused(error, self.id) from None
        forwarder.start()
        return forwarder

    def reading(self, size: int) -> None:
        """Count what is here of the body. Raises Refusal."""
        try:
            self.grow(self._bodies, size)
        except (BodyTooLarge, CallerError) as error:
            raise refused(error, self.id) from None


def refused(error: InvalidRequest | BodyTooLarge | CallerError, ident: bytes) -> Refusal:
    """The error as the answer of a server that takes the router directly. ident: the request's id."""
    refusal = refusal_of(error)
    headers = [JSON_TYPE, (b"x-request-id", ident), *READABLE, *refusal.fields]
    return Refusal(refusal.status, headers, error_json(refusal.code, refusal.message, refusal.status))


def refusal_of(error: InvalidRequest | BodyTooLarge | CallerError) -> CallerError:
    """The error as the client sees it."""
    if isinstance(error, InvalidRequest):
        return CallerError(400, "bad-request", str(error))
    if isinstance(error, BodyTooLarge):
        return CallerError(413, "body-too-large", f"{error} Send less, or a link to it.")
    return error
