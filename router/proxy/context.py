"""What all requests of one router instance share, and the two ends of one request."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field
from typing import Final

from router.core.balance.balancer import Balancer
from router.core.health.attribution import class_of
from router.core.request.classify import AgentTraits
from router.core.request.options import STRATEGY
from router.net.deadlines import Deadlines
from router.net.pool import Pool
from router.proxy.held import HeldBody
from router.proxy.prober import Prober
from router.proxy.request_queue import RequestQueue
from skyfleet.asgi import Header
from skyfleet.values import frozen

_CLASS_FIELDS: Final = frozenset({b"authorization", b"x-api-key", STRATEGY})


@frozen
class Request:
    """A complete request of a client. target: as sent (path and query). path: percent-decoded. by_name: the
    last field of each name.

    id: the client's, or made for it. drop: header fields that carried the client's API key. arrived: when its
    head came, in ticks; None: just now. nonce: for the signature of the first attempt, 32 random hexadecimal
    digits; empty: the signer draws one, as for all later attempts. keyless: a preflight without the API key.
    forwarded: what agents are told of the client's URL and address. cors: fields for a reply that has none.
    held: the body's part of what the instance holds; None: it is small.
    """

    method: str
    target: bytes
    path: str
    query: bytes
    headers: list[Header]
    by_name: Mapping[bytes, bytes]
    body: bytes
    id: bytes
    drop: frozenset[bytes] = frozenset()
    arrived: float | None = None
    nonce: str = ""
    keyless: bool = False
    forwarded: bytes = b""
    cors: tuple[Header, ...] = ()
    held: HeldBody | None = None

    @property
    def request_class(self) -> int:
        """Its class for the comparison of agent errors: method, path, the client's key, the strategy that it
        asks for. A client's address changes and can be another client's, so it is not among them."""
        told = (value for name, value in self.headers if name in _CLASS_FIELDS)
        return class_of(self.method, self.path, *told)


Sign = Callable[[str, Request, str], bytes]


@frozen
class Context:
    """What all requests of one instance share. sign: lines with a signature, for (target key, request, nonce
    or ""). ticks: seconds of a monotonic clock. any_repeatable: an agent declares itself repeatable. agents:
    what is known of the fleet's agents.
    """

    balancer: Balancer
    pool: Pool
    prober: Prober
    deadlines: Deadlines
    sign: Sign
    ticks: Callable[[], float]
    request_queue: RequestQueue
    any_repeatable: bool
    agents: AgentTraits = field(default_factory=AgentTraits)
