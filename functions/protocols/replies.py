"""An ASGI application around the agent's: its replies as clients of MCP and A2A need them.

Rules
- A document that names the agent's URL gets the one that clients use (`documents`). It is asked for without
  compression, held up to `MOST_HELD` bytes, and loses its `etag`: that stands for what the agent sent.
- A session that lives in one instance is refused (`sessions`). The agent's `send` then raises OSError, as
  after a client that has left, and the log says it once for each instance.
- All other replies pass as they are, message by message.
- It takes the scope as the runtime has it: with the function's own host and with the router's field.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Final

from functions.protocols import documents, sessions
from skyfleet.asgi import ASGIApp, Header, Message, Receive, Scope, Send, header, header_text
from skyfleet.forwarded import FIELD, parse, parse_authority

LOG: Final = logging.getLogger("skyfleet.protocols")
# A card or metadata has a few kilobytes.
MOST_HELD: Final = 1024 * 1024


class Replies:
    """stateless: the agent says that its session ids are valid in every instance."""

    def __init__(self, app: ASGIApp, *, stateless: bool) -> None:
        self._app, self._stateless = app, stateless
        self._told = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        reply = _Reply(scope, send, stateless=self._stateless)
        if reply.document:
            kept = [one for one in scope["headers"] if one[0].lower() != b"accept-encoding"]
            scope = {**scope, "headers": kept}
        try:
            await self._app(scope, receive, reply.send)
        except Exception:
            if not reply.refused:
                raise
        if reply.refused and not self._told:
            self._told = True
            LOG.error("%s %s was refused: %s", scope["method"], scope["path"], sessions.TEXT)


class _Reply:
    """One reply. document: it may have to be changed as a whole. refused: the client has an error instead."""

    def __init__(self, scope: Scope, send: Send, *, stateless: bool) -> None:
        self._scope, self._send, self._stateless = scope, send, stateless
        self.document = scope["method"] in ("GET", "HEAD") and documents.is_document(scope["path"])
        self.refused = False
        self._held: list[Message] = []
        self._size = 0

    async def send(self, message: Message) -> None:
        """Take a message of the agent."""
        if self.refused:
            raise OSError("The reply was refused: it begins a session of this instance.")
        if message["type"] == "http.response.start":
            await self._start(message)
        elif self._held:
            await self._hold(message)
        else:
            await self._send(message)

    async def _start(self, message: Message) -> None:
        status, headers = message["status"], list(message.get("headers", ()))
        message = {**message, "headers": headers}  # of the agent it may be an iterator
        if not self._stateless and sessions.begins(status, headers):
            self.refused = True
            await self._send(
                {"type": "http.response.start", "status": sessions.STATUS, "headers": [*sessions.HEADERS]}
            )
            await self._send({"type": "http.response.body", "body": sessions.BODY})
            raise OSError("The reply begins a session of this instance, so it was refused.")
        if self.document and status == 200 and self._is_plain_json(headers):
            self._held = [message]
        elif status == 401:
            await self._send({**message, "headers": self._challenged(headers)})
        else:
            await self._send(message)

    async def _hold(self, message: Message) -> None:
        self._held.append(message)
        self._size += len(message.get("body", b""))
        whole = not message.get("more_body", False)
        if not whole and self._size <= MOST_HELD:
            return
        held, self._held = self._held, []
        start, *parts = held
        body = self._published(b"".join(part.get("body", b"") for part in parts)) if whole else None
        if body is None:
            for one in held:
                await self._send(one)
            return
        changed = {b"content-length", b"etag"}
        kept: list[Header] = [one for one in start.get("headers", ()) if one[0].lower() not in changed]
        await self._send({**start, "headers": [*kept, (b"content-length", b"%d" % len(body))]})
        await self._send({"type": "http.response.body", "body": body})

    def _published(self, body: bytes) -> bytes | None:
        base = self._base()
        path, own = self._scope["path"], self._own()
        return None if base is None else documents.published(path, body, base, own)

    def _challenged(self, headers: Iterable[Header]) -> list[Header]:
        base, own = self._base(), self._own()
        return [
            (name, documents.challenge(value, base, own))
            if base is not None and name.lower() == b"www-authenticate"
            else (name, value)
            for name, value in headers
        ]

    def _base(self) -> str | None:
        """The URL that clients use, as the router tells it."""
        value = header(self._scope, FIELD)
        forwarded = None if value is None else parse(value)
        return None if forwarded is None else forwarded.url.text

    def _own(self) -> tuple[str, ...]:
        origin = parse_authority(header_text(self._scope, b"host"), tls=True)
        return () if origin is None else (origin.host,)

    def _is_plain_json(self, headers: Iterable[Header]) -> bool:
        fields = {name.lower(): value for name, value in headers}
        return b"content-encoding" not in fields and b"json" in fields.get(b"content-type", b"").lower()
