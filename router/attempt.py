"""One attempt of a request at one target: its connection, its seat, its outcome.

Rules
- Outcome and seat are settled exactly once, by whatever happens first.
- Until its reply is passed on, what arrives is held; beyond `MOST_HELD` bytes the connection is paused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from router.board import Board
from router.door import is_no_verdict
from router.fleet import Outcome
from router.headers import Header, first
from router.plan import Choice, Failure
from router.pool import Call

if TYPE_CHECKING:
    from router.forward import Relay

# Error replies are a few hundred bytes; more of one is read only when it is passed on.
MOST_HELD: Final = 65_536


_BLAME: Final = {
    Failure.NO_ANSWER: Outcome.SILENT,
    # The deadline passed although /health answered: slow, not broken.
    Failure.TIMEOUT: Outcome.NEUTRAL,
    Failure.FULL: Outcome.NEUTRAL,
}


class Attempt:
    """A sink for one target's reply."""

    __slots__ = (
        "_board",
        "_cut",
        "_ended",
        "_flowing",
        "_held",
        "_recorded",
        "_relay",
        "_seat",
        "_size",
        "_started",
        "call",
        "choice",
        "headers",
        "key",
        "status",
        "upstream_ms",
    )

    def __init__(self, relay: Relay, board: Board, choice: Choice, started: float) -> None:
        self._relay, self._board, self.choice, self.key = relay, board, choice, choice.key
        self._started = started
        self._seat = board.seat(choice.key)
        self.call: Call = Call()
        self.status = 0
        self.headers: list[Header] = []
        self.upstream_ms = 0.0
        self._held: list[bytes] = []
        self._size = 0
        self._flowing = self._ended = self._recorded = False
        self._cut: str | None = None

    # The pool calls these.

    def on_head(self, status: int, headers: list[Header]) -> None:
        self.status, self.headers = status, headers
        self.upstream_ms = self._relay.elapsed_ms(self._started)
        if self._relay.is_running(self):
            self._relay.on_head(self)

    def on_data(self, data: bytes) -> None:
        if self._flowing:
            self._relay.on_data(self, data)
            return
        self._held.append(data)
        self._size += len(data)
        if self._size > MOST_HELD:
            self.call.pause()

    def on_end(self) -> None:
        self._ended = True
        self._seat.close()
        if is_no_verdict(self.status, self.headers):
            self.record(Outcome.NEUTRAL)
        else:
            cold = first(self.headers, b"x-skyfleet-cold") == b"true"
            self.record(Outcome.COLD if cold else Outcome.SUCCESS)
        if self._flowing:
            self._relay.on_end(self)

    def on_failure(self, failure: Failure, why: str) -> None:
        """Called by the pool, and by `drop`."""
        self._seat.close()
        if not self.status:
            self.record(_BLAME.get(failure, Outcome.FAILURE), why)
            if self._relay.is_running(self):
                self._relay.on_failure(self, failure, why)
            return
        self._cut = why
        self.record(Outcome.FAILURE, why)
        if self._flowing:
            self._relay.on_cut(self, why)

    # The relay calls these.

    def flow(self) -> None:
        """From now on everything goes straight to the caller, beginning with what was held."""
        self._flowing = True
        held, self._held = self._held, []
        for data in held:
            self._relay.on_data(self, data)
        if self._ended:
            self._relay.on_end(self)
        elif self._cut is not None:
            self._relay.on_cut(self, self._cut)
        elif self._size > MOST_HELD:
            self.call.resume()

    def drop(self, failure: Failure, why: str) -> None:
        """Time is up: close it, and count it as failed."""
        self.call.cancel()
        self.on_failure(failure, why)

    def record(self, outcome: Outcome, why: str = "") -> None:
        if not self._recorded:
            self._recorded = True
            self._board.record(self.key, outcome, why)

    def close(self) -> None:
        """Nobody wants the rest."""
        self._flowing = False
        self._recorded = True
        self._seat.close()
        self.call.cancel()
