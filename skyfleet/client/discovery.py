"""The URLs of all routers, from one that answers: `GET /.well-known/skyfleet.json` (`skyfleet.router_list`).

Rules
- The given routers are used as for any other request: the first that is there answers.
- The API key is not sent, only a token that opens this path. A list counts only if the key has signed it.
- Without an API key only routers on this machine are asked and accepted, since nothing is signed.
- A router that was asked over https lists no http URL. A redirect is not followed.
- A given URL that is not in the list comes last: requests for it are still the fleet's.
- A name below `localhost` is this machine (RFC 6761, section 6.3), which not every resolver knows: it is used
  by its address.
- A router that knows no other one yet leaves the given URLs as they are, with a warning.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final, cast

from skyfleet import router_list
from skyfleet.client.transport import AsyncTransport, Transport
from skyfleet.forwarded import PublicUrl, parse_public_url
from skyfleet.router_list import RouterListError

if TYPE_CHECKING:
    import httpx

# A router may start cold first.
_TIMEOUT_S: Final = 10.0
# For the document as a whole: one that comes byte by byte never exceeds the time of one read.
_MOST_S: Final = 30.0


class DiscoveryError(RuntimeError):
    """The list of routers cannot be used; the message says why."""


class Question:
    """What is asked and what is made of the reply, without the sending."""

    def __init__(self, urls: str | Sequence[str], api_key: str | None) -> None:
        """As `discover`."""
        given = [urls] if isinstance(urls, str) else list(urls)
        found = [(url, _parsed(url)) for url in given]
        wrong = [url for url, known in found if known is None]
        if wrong or not found:
            raise ValueError(f"Found {wrong or 'no URL'}, expected URLs of routers.")
        self._given = [known for _, known in found if known is not None]
        self._api_key = api_key
        if api_key is None and not all(known.origin.loopback for known in self._given):
            raise ValueError("Expected an API key: without it no list of routers can be verified.")
        self.urls = [known.text for known in self._given]
        self.url = self.urls[0] + router_list.PATH
        self.headers = {"accept-encoding": "identity"}
        if api_key is not None:
            token = router_list.token(router_list.digest_of(api_key))
            self.headers["authorization"] = f"Bearer {token}"

    def taken(self, status: int, body: bytes, now: float) -> list[str]:
        """The URLs to use. now: unix seconds. Raises DiscoveryError."""
        if status == 401:
            raise self._error("The router does not know this API key (401).")
        if status != 200:
            raise self._error(f"Its status is {status}, expected 200 from a router.")
        try:
            found = router_list.load(body, self._api_key, now)
        except RouterListError as error:
            raise self._error(str(error)) from None
        if not found.complete:
            warnings.warn(
                "The router knows no other one yet; the health checks tell it in the first minute after a "
                "deployment. Only the given URLs are used.",
                stacklevel=3,
            )
            return self.urls
        listed = [known for url in found.routers if (known := _parsed(url)) is not None]
        for one in listed:
            self._check(one)
        return list(dict.fromkeys([*(one.text for one in listed), *self.urls]))

    def failed(self, error: Exception) -> DiscoveryError:
        """No router answered."""
        return self._error(f"No router answered ({type(error).__name__}: {error}).")

    def too_long(self, size: int, seconds: float) -> bool:
        """Whether the rest of a body is not worth reading. seconds: since its head. Raises DiscoveryError if
        it takes too long."""
        if seconds > _MOST_S:
            raise self._error(f"It did not arrive within {_MOST_S:.0f} s.")
        return size > router_list.MOST_BYTES

    def _check(self, one: PublicUrl) -> None:
        if not one.origin.tls and any(known.origin.tls for known in self._given):
            raise self._error(f"It lists {one.text}, which is not encrypted.")
        if self._api_key is None and not one.origin.loopback:
            raise self._error(f"It lists {one.text} without a signature; give the API key.")

    def _error(self, why: str) -> DiscoveryError:
        return DiscoveryError(f"The list of routers of {', '.join(self.urls)} is not used: {why}")


def _parsed(url: object) -> PublicUrl | None:
    known = parse_public_url(url)
    if known is None or not known.origin.host.endswith(".localhost"):
        return known
    return PublicUrl(known.origin._replace(host="127.0.0.1"), known.prefix)


def discover(
    urls: str | Sequence[str],
    api_key: str | None = None,
    *,
    library: ModuleType,
    inner: httpx.BaseTransport | None = None,
    clock: Callable[[], float] = time.time,
    ticks: Callable[[], float] = time.monotonic,
) -> list[str]:
    """As `skyfleet.client.discover`. inner: what sends; None: the library's own. clock: unix seconds. ticks:
    seconds of a clock that never goes back."""
    asked, found = Question(urls, api_key), cast("Any", library)
    body = bytearray()
    try:
        with (
            found.Client(transport=Transport(asked.urls, library, inner), timeout=_TIMEOUT_S) as client,
            client.stream("GET", asked.url, headers=asked.headers) as reply,
        ):
            began = ticks()
            for part in reply.iter_raw():
                body += part
                if asked.too_long(len(body), ticks() - began):
                    break
    except found.TransportError as error:
        raise asked.failed(error) from None
    return asked.taken(reply.status_code, bytes(body), clock())


async def async_discover(
    urls: str | Sequence[str],
    api_key: str | None = None,
    *,
    library: ModuleType,
    inner: httpx.AsyncBaseTransport | None = None,
    clock: Callable[[], float] = time.time,
    ticks: Callable[[], float] = time.monotonic,
) -> list[str]:
    """As `discover`."""
    asked, found = Question(urls, api_key), cast("Any", library)
    body = bytearray()
    try:
        async with (
            found.AsyncClient(
                transport=AsyncTransport(asked.urls, library, inner), timeout=_TIMEOUT_S
            ) as client,
            client.stream("GET", asked.url, headers=asked.headers) as reply,
        ):
            began = ticks()
            async for part in reply.aiter_raw():
                body += part
                if asked.too_long(len(body), ticks() - began):
                    break
    except found.TransportError as error:
        raise asked.failed(error) from None
    return asked.taken(reply.status_code, bytes(body), clock())
