"""An event stream on its way to the caller: whole events only, and another target may take it up.

Rules
- The caller gets one stream. When its source breaks off, another target's reply to the same request may go
  on, but only if it begins with the very bytes that the caller has already: those are passed over, and what
  follows is passed on. One byte other and it is another reply, of which nothing is passed on.
- So nobody ever gets two replies mixed. Which agents it helps: those that say the same to the same request.
- What has been passed on is kept as its length and a digest, so a long stream costs no memory. Its beginning
  is kept as it is: a reply with another id or another first word is found out at once.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

from skyfleet.sse import EventStream

# A few events of any API.
_BEGINNING: Final = 4096


class ResumableStream:
    """One event stream."""

    __slots__ = ("_beginning", "_digest", "_met", "_met_digest", "_passed", "_stream")

    def __init__(self, *, may_resume: bool) -> None:
        """may_resume: another target may be asked for the same."""
        self._stream = EventStream()
        self._digest = blake2b() if may_resume else None
        self._beginning = bytearray()
        self._passed = 0
        # How much of the other target's stream was as it should be; None: nothing is to be compared.
        self._met: int | None = None
        self._met_digest: blake2b | None = None

    @property
    def repairable(self) -> bool:
        """Whether what went out so far ends with a whole event."""
        return self._stream.repairable

    @property
    def may_resume(self) -> bool:
        return self._digest is not None and self._stream.repairable

    def restart(self) -> None:
        """From here on comes another target's stream, from its beginning."""
        self._stream = EventStream()
        self._met, self._met_digest = 0, blake2b()

    def feed(self, data: bytes) -> bytes | None:
        """What may go out now; None: this is not the stream that was begun."""
        if self._met is not None and self._met_digest is not None:
            rest = self._compared(data, self._met, self._met_digest)
            if not rest:
                return rest
            data = rest
        ready = self._stream.feed(data)
        if self._digest is not None:
            self._note(ready, self._digest)
        return ready

    def finish(self) -> bytes | None:
        """The rest at a clean end; None: it came too soon, so this is another stream."""
        if self._met is not None and self._met < self._passed:
            return None
        return self._stream.finish()

    def _note(self, ready: bytes, digest: blake2b) -> None:
        digest.update(ready)
        if self._passed < _BEGINNING:
            self._beginning += ready[: _BEGINNING - self._passed]
        self._passed += len(ready)

    def _compared(self, data: bytes, met: int, digest: blake2b) -> bytes | None:
        part = data[: self._passed - met]
        known = self._beginning[met : met + len(part)]
        if not part.startswith(bytes(known)):
            return None
        digest.update(part)
        self._met = met = met + len(part)
        if met < self._passed:
            return b""
        if self._digest is None or digest.digest() != self._digest.digest():
            return None
        self._met = None
        return data[len(part) :]
