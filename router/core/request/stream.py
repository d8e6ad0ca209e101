"""An event stream on its way to the client: complete events only, and another target may resume it.

Rules
- The client gets one stream. If its source breaks off, another target's reply to the same request may
  continue it, but only if that begins with the very bytes that the client has. Those are skipped, and the
  rest is forwarded. If one byte differs, it is another reply and none of it is forwarded.
- So no client gets a mixture of two replies. This helps agents that give the same reply to the same request.
- The resuming request is the client's own, with its `Last-Event-ID`: that names the client's last event of an
  earlier response, so both targets begin at the same place. An agent whose events live in one cloud only
  begins elsewhere, which is another reply.
- Comments of the router (`RequestMachine`) come between whole events. They are no part of the stream, and
  none is compared.
- Of the forwarded bytes only the length and a digest are kept, so a long stream costs no memory. The
  beginning is kept as it is: a reply with another id or another first word is detected at once.
"""

from __future__ import annotations

import math
from hashlib import blake2b
from typing import Final

from skyfleet.sse import EventStream

# A few events of any API.
_BEGINNING: Final = 4096
# Allowed at the beginning of a stream only (https://html.spec.whatwg.org/multipage/server-sent-events.html,
# section "Parsing an event stream").
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
# Comments are late by up to this part of their interval, so that many silent streams share a wake-up.
_PING_STEP: Final = 1 / 16


def ping_at(sent_at: float, every_s: float) -> float:
    """When a client that got its last byte at `sent_at` is due a comment; infinite where `every_s` is."""
    if every_s == math.inf:
        return math.inf
    step = every_s * _PING_STEP
    return math.ceil((sent_at + every_s) / step) * step


class ResumableStream:
    """One event stream."""

    __slots__ = (
        "_beginning",
        "_begun",
        "_digest",
        "_equal",
        "_equal_digest",
        "_forwarded",
        "_stream",
        "_unmarked",
    )

    def __init__(self, *, may_resume: bool) -> None:
        """may_resume: another target may be asked for the same stream."""
        self._stream = EventStream()
        self._digest = blake2b() if may_resume else None
        self._beginning = bytearray()
        self._forwarded = 0
        # Whether a part was forwarded; whether a comment was, before it.
        self._begun = self._unmarked = False
        # How many bytes of the other target's stream were equal; None: nothing is compared.
        self._equal: int | None = None
        self._equal_digest: blake2b | None = None

    @property
    def repairable(self) -> bool:
        """Whether the forwarded bytes end with a complete event."""
        return self._stream.repairable

    @property
    def may_resume(self) -> bool:
        return self._digest is not None and self._stream.repairable

    def ping(self) -> bool:
        """Whether the client may get a comment now, which it then gets: not within an event."""
        if self._stream.repairable and not self._begun:
            self._unmarked = True
        return self._stream.repairable

    def restart(self) -> None:
        """From now on, another target's stream is fed from its beginning."""
        self._stream = EventStream()
        self._equal, self._equal_digest = 0, blake2b()

    def feed(self, data: bytes) -> bytes | None:
        """What may be forwarded now; None: this is not the stream that was begun."""
        if self._equal is not None and self._equal_digest is not None:
            rest = self._compared(data, self._equal, self._equal_digest)
            if not rest:
                return rest
            data = rest
        ready = self._stream.feed(data)
        if self._digest is not None:
            self._note(ready, self._digest)
        if ready:
            self._begun = True
            if self._unmarked:
                self._unmarked = False
                return ready.removeprefix(_BYTE_ORDER_MARK)
        return ready

    def finish(self) -> bytes | None:
        """The rest at an orderly end; None: it ended too early, so it is another stream."""
        if self._equal is not None and self._equal < self._forwarded:
            return None
        return self._stream.finish()

    def _note(self, ready: bytes, digest: blake2b) -> None:
        digest.update(ready)
        if self._forwarded < _BEGINNING:
            self._beginning += ready[: _BEGINNING - self._forwarded]
        self._forwarded += len(ready)

    def _compared(self, data: bytes, equal: int, digest: blake2b) -> bytes | None:
        part = data[: self._forwarded - equal]
        known = self._beginning[equal : equal + len(part)]
        if not part.startswith(bytes(known)):
            return None
        digest.update(part)
        self._equal = equal = equal + len(part)
        if equal < self._forwarded:
            return b""
        if self._digest is None or digest.digest() != self._digest.digest():
            return None
        self._equal = None
        return data[len(part) :]
