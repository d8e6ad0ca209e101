"""`GET /.well-known/skyfleet.json`: the routers of the fleet, for its clients (`skyfleet.router_list`).

Rules
- It needs the API key, or the token that a client derives from it. During a rotation the key that opened it
  signs it, so a client with the former key can verify it too.
- The routers are those that the checkers list. Where none is fresh, an instance that has just started or was
  frozen reads the bucket first. With nothing known the document has this router alone, by the request's Host.
- `skyfleet:router.publicUrl` is the first in the list: it is what clients use.
- A client keeps the document for `MAX_AGE_S`, and then asks whether it has changed (RFC 9110, section
  13.1.2). No shared cache keeps it, since the signature is for one API key.
- Imported at the first such request: it is no part of a cold start.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Mapping
from typing import Final

from router.access import admit
from router.config import RouterSettings
from router.core.balance.balancer import Balancer
from router.core.errors import CallerError
from router.core.health.router_list import RouterList, agreed
from router.public_url import own_url
from router.sync.snapshots import SnapshotStore
from skyfleet import router_list
from skyfleet.asgi import JSON_TYPE, Header, Send

MAX_AGE_S: Final = 300


class WellKnown:
    """The document of one router. clock: unix seconds."""

    def __init__(
        self,
        settings: RouterSettings,
        balancer: Balancer,
        store: SnapshotStore,
        clock: Callable[[], float],
    ) -> None:
        self._settings, self._balancer, self._store, self._clock = settings, balancer, store, clock

    async def __call__(self, fields: Mapping[bytes, bytes], more: list[Header], send: Send) -> None:
        """Reply. fields: of the request, by lower-case name. more: of the reply. Raises CallerError."""
        digest = self._admit(fields)
        body = router_list.dump(await self._list(fields), digest)
        tag = b'"%b"' % hashlib.sha256(body).hexdigest()[:32].encode()
        cache = [
            (b"etag", tag),
            (b"cache-control", b"private, max-age=%d" % MAX_AGE_S),
            (b"vary", b"authorization, x-api-key"),
            *more,
        ]
        if has(fields.get(b"if-none-match", b""), tag):
            await send({"type": "http.response.start", "status": 304, "headers": cache})
            await send({"type": "http.response.body"})
            return
        headers = [JSON_TYPE, (b"content-length", b"%d" % len(body)), *cache]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def _admit(self, fields: Mapping[bytes, bytes]) -> bytes | None:
        """The digest of the key that the request has; None: of an open router. Raises CallerError."""
        digests = self._settings.api_key_sha256
        for digest in digests or ():
            derived = hashlib.sha256(router_list.token(digest).encode()).digest()
            with contextlib.suppress(CallerError):
                admit(fields.items(), (digest, derived))
                return digest
        admit(fields.items(), digests)
        return None

    async def _list(self, fields: Mapping[bytes, bytes]) -> router_list.RouterList:
        found = self._agreed()
        if not found.fresh:
            await self._store.refreshed()
            found = self._agreed()
        urls, public = list(found.urls), self._settings.public_url
        if not urls and (own := public or own_url(fields.get(b"host", b"").decode("latin-1"))):
            urls = [own.text]
        if public is not None:
            urls = list(dict.fromkeys([public.text, *urls]))
        return router_list.issued(urls, self._clock(), complete=bool(found.urls))

    def _agreed(self) -> RouterList:
        snapshots = self._balancer.settled().snapshots.values()
        return agreed(snapshots, self._clock(), self._balancer.policy)


def has(condition: bytes, tag: bytes) -> bool:
    """Whether If-None-Match has the entity tag, by weak comparison (RFC 9110, section 8.8.3.2)."""
    tags = [one.strip().removeprefix(b"W/") for one in condition.split(b",")]
    return tag in tags or tags == [b"*"]
