"""One attempt of a request at one target: its connection, its seat, its outcome.

Rules
- Outcome and seat are settled exactly once, by whatever happens first.
- Until its reply is passed on, what arrives is held; beyond `MOST_HELD` bytes the connection is paused.
- Its latency is told once: the time to its first event, to the end of a small reply, to the head of others.
  An attempt that was overtaken tells how long it had taken, if that is longer than was expected of its
  target: a shorter one says nothing, and a target that is always overtaken would look fast.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from router.core.balance.balancer import Balancer
from router.core.health.fleet import Outcome
from router.core.request.classify import MOST_WHOLE, Reading
from router.core.request.machine import Failure, Try, Worth
from router.net.errors import TransportError
from router.net.fields import Header, first
from router.net.pool import Exchange
from skyfleet.sse import FirstEvent, LastEvent

if TYPE_CHECKING:
    from router.proxy.forward import Relay

# What is passed on when whole fits; more of an error reply is read only when it is passed on.
MOST_HELD: Final = MOST_WHOLE


_FAILURES: Final = {
    TransportError.CONNECT: Failure.NOT_SENT,
    TransportError.OVERFLOW: Failure.FULL,
    TransportError.RESET: Failure.RESET,
}
_BLAME: Final = {
    Failure.NO_ANSWER: Outcome.SILENT,
    # The deadline passed although /health answered: slow, not broken.
    Failure.TIMEOUT: Outcome.NEUTRAL,
    Failure.FULL: Outcome.NEUTRAL,
}
# What a plan drops an attempt for.
_WHY: Final = {
    Failure.NO_ANSWER: "gave neither a reply nor an answer to /health",
    Failure.CUT: "stopped in the middle of a small reply",
}

_BAD: Final = frozenset({Outcome.FAILURE, Outcome.SILENT})


class Attempt:
    """A sink for one target's reply."""

    __slots__ = (
        "_balancer",
        "_cut",
        "_first",
        "_flowing",
        "_held",
        "_last",
        "_recorded",
        "_relay",
        "_seat",
        "_size",
        "_told",
        "asking",
        "awaited",
        "broke",
        "call",
        "choice",
        "ended",
        "extra",
        "headed_ms",
        "headers",
        "key",
        "number",
        "over",
        "reading",
        "started",
        "status",
    )

    call: Exchange

    def __init__(self, relay: Relay, balancer: Balancer, sent: Try, started: float) -> None:
        self._relay, self._balancer, self.started = relay, balancer, started
        self.number, self.choice, self.extra, self.key = sent.number, sent.choice, sent.extra, sent.choice.key
        self._seat = balancer.seat(self.key)
        self.status = 0
        self.headers: list[Header] = []
        self.reading: Reading | None = None
        # Its target is not to be tried again, unless it turns out that it surely did nothing there; or it
        # broke off, a repeat does no harm, and its target has been away since.
        self.over, self.broke = True, False
        # A good head has come; the plan waits for the first event or the end.
        self.awaited = False
        self.headed_ms = 0.0  # when its head came, since it was sent
        self.asking: Callable[[], None] | None = None
        self._size = 0
        self._first: FirstEvent | None = None
        self._last: LastEvent | None = None
        self._held: list[bytes] = []
        self._flowing = self.ended = self._recorded = self._told = False
        self._cut: str | None = None

    # The pool calls these.

    def on_head(self, status: int, headers: list[Header]) -> None:
        self.status, self.headers = status, headers
        self.headed_ms = self._relay.elapsed_ms(self.started)
        self._relay.on_head(self)

    def on_data(self, data: bytes) -> None:
        began = self._first is not None and self._first.feed(data)
        if began:
            self._first = None
            self.tell(self._relay.elapsed_ms(self.started))
        if self._last is not None:
            self._last.feed(data)
        if self._flowing:
            self._relay.on_data(self, data)
            return
        self._held.append(data)
        self._size += len(data)
        if began and self.awaited:
            self._relay.on_ready(self)
        elif self._size > MOST_HELD:
            # Longer than was thought: it is passed on as it comes.
            if self.awaited:
                self._relay.on_ready(self)
            else:
                self.call.pause()

    def on_end(self) -> None:
        self.ended = True
        self._seat.close()
        judged = self.reading is not None and self.reading.at_end is not Outcome.NEUTRAL
        if judged and self._last is not None and (why := self._relay.fault(self._last)):
            self.record(Outcome.FAILURE, why)
        if judged and self.reading is not None and self.reading.worth is Worth.WHOLE:
            self.tell(self._relay.elapsed_ms(self.started))
        self.record(self.reading.at_end if self.reading is not None else Outcome.NEUTRAL)
        if self._flowing:
            self._relay.on_end(self)
        elif self.awaited:
            self._relay.on_ready(self)

    def on_failure(self, error: TransportError, why: str) -> None:
        """Called by the pool."""
        failure = _FAILURES[error]
        self._seat.close()
        if not self.status:
            self.record(_BLAME.get(failure, Outcome.FAILURE), why)
            self._relay.on_failure(self, failure)
            return
        self._cut = why
        self.record(Outcome.FAILURE, why)
        if self._flowing:
            self._relay.on_cut(self, why)
        elif self.awaited:
            self._relay.on_failure(self, Failure.CUT)
        else:
            self._relay.on_kept_cut(self)

    # The relay calls these.

    def read(self, reading: Reading) -> None:
        """Its head has been read; tell the board what it says."""
        self.reading = reading
        if reading.verdict is not None:
            self.record(reading.verdict, reading.why, reading.backoff_s)
        elif reading.events:
            self._first, self._last = FirstEvent(), LastEvent()
        elif reading.at_end is not Outcome.NEUTRAL and reading.worth is not Worth.WHOLE:
            self.tell(self.headed_ms)

    @property
    def beating(self) -> bool:
        """Whether it is a stream that has sent something, but no event yet."""
        return self.awaited and self._first is not None and bool(self._held)

    def has_stopped(self, probe_after_s: float) -> bool:
        """Whether a small reply was announced so long ago and is not whole: whoever knows its length has made
        it, so what is missing was lost on the way."""
        waited_ms = self._relay.elapsed_ms(self.started) - self.headed_ms
        small = self.awaited and self._first is None and first(self.headers, b"content-length") is not None
        return small and waited_ms >= probe_after_s * 1000

    def flow(self) -> None:
        """From now on everything goes straight to the caller, beginning with what was held."""
        self._flowing = True
        held, self._held = self._held, []
        for data in held:
            # The relay may have closed this attempt on the way.
            if self._flowing:
                self._relay.on_data(self, data)
        if not self._flowing:
            return
        if self.ended:
            self._relay.on_end(self)
        elif self._cut is not None:
            self._relay.on_cut(self, self._cut)
        elif self._size > MOST_HELD:
            self.call.resume()

    def drop(self, failure: Failure) -> None:
        """The plan counts it as failed."""
        self.record(_BLAME.get(failure, Outcome.FAILURE), _WHY[failure])
        self.close()

    def tell(self, milliseconds: float) -> None:
        """Its time to the first event."""
        if not self._told and self.reading is not None:
            self._told = True
            cold = self.reading.at_end is Outcome.COLD
            self._balancer.report_first_event(self.key, milliseconds, self.reading.load, cold)

    def outlasted(self) -> bool:
        """A later one was faster, or time is up: it takes at least as long as it has taken. Whether it has
        shown nothing yet of which anybody has use."""
        if self._told or self._recorded:
            return False
        elapsed = self._relay.elapsed_ms(self.started)
        self._told = self._balancer.lost_to_hedge(self.key, elapsed, not self.choice.warm)
        return self.awaited or not self.status

    def record(self, outcome: Outcome, why: str = "", backoff_s: float | None = None) -> None:
        if not self._recorded:
            self._recorded = True
            if self.choice.panic and outcome in _BAD:
                # It was out already, so this is no news, and must not put off its return.
                outcome = Outcome.NEUTRAL
            self._balancer.record(self.key, outcome, why, backoff_s)

    def stop_asking(self) -> None:
        if self.asking is not None:
            self.asking()
            self.asking = None

    def close(self) -> None:
        """Nobody wants the rest."""
        self._flowing = self.awaited = False
        self._recorded = True
        if self._seat.open:
            self._seat.close()
        if not self.call.over:
            self.call.cancel()
        if self.asking is not None:
            self.stop_asking()
