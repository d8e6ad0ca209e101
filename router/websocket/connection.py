"""One WebSocket: reads messages, begins requests, sends what their answers become.

Rules
- Text frames only. A message that cannot be read, or a second request with the id of one that is not over,
  closes the connection with a code of 44xx. Answers stay, so that the client can resume.
- Each `request` is one request through the same `Forwarder` as over HTTP.
- Messages that belong to no answer are few: reading stops until the client has taken them.
- At the end of the process, and before the platform ends the connection, new requests are refused, and the
  connection closes with 1012 once all answers are sent (IANA's registry of close codes: "Service Restart").
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

from router.core.errors import CallerError
from router.net.errors import InvalidRequest
from router.websocket import messages
from router.websocket.answer import Answer
from router.websocket.limits import Limits
from router.websocket.sessions import Session, Sessions
from skyfleet.asgi import BodyTooLarge, Receive, Send

RESTART: Final = 1012
NOT_TEXT: Final = 1003
# Messages of no answer that wait for the client.
_MOST_DIRECT: Final = 32
# What a server sends at the end of the process, beyond ASGI (functions.runtimes.server.websocket).
SHUTDOWN: Final = "skyfleet.shutdown"


class Begin(Protocol):
    """Begins a request. Raises CallerError, InvalidRequest, BodyTooLarge."""

    def __call__(self, asked: messages.Asked, answer: Answer, add: Callable[[Answer], None], /) -> None: ...


class SocketConnection:
    """One accepted connection."""

    def __init__(self, sessions: Sessions, limits: Limits, begin: Begin) -> None:
        self._sessions, self._limits, self._begin = sessions, limits, begin
        self._session: Session = sessions.begin(self)
        self._fresh = True  # no request was sent here yet, so a session may be resumed
        self._direct: deque[bytes] = deque()
        self._woken = asyncio.Event()
        self._taken = asyncio.Event()
        self._closing: tuple[int, str] | None = None
        self._ending = False

    # The session calls these.

    def wake(self) -> None:
        """There is a message to send."""
        self._woken.set()

    def taken_over(self) -> None:
        """Another connection has the session."""
        self._close(messages.TAKEN_OVER, "Another connection has resumed this session.")

    # The endpoint calls this.

    async def run(self, receive: Receive, send: Send) -> None:
        """Serve it until it is closed."""
        self._say_session(resumed=False)
        writer = asyncio.create_task(self._write(send))
        timer = asyncio.get_running_loop().call_later(self._limits.connection_s, self._end)
        try:
            await self._read(receive)
        finally:
            self._sessions.leave(self._session, self)
            timer.cancel()
            writer.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await writer

    # Reading.

    async def _read(self, receive: Receive) -> None:
        while (event := await receive())["type"] != "websocket.disconnect":
            if event["type"] == SHUTDOWN:
                self._end()
                continue
            if self._closing is not None:
                continue
            text: str | None = event.get("text")
            if text is None:
                self._close(NOT_TEXT, "Messages are text.")
                continue
            try:
                self._take_in(messages.parse(text))
            except messages.BadMessage as bad:
                self._close(bad.code, bad.reason)
            while len(self._direct) > _MOST_DIRECT:
                self._taken.clear()
                await self._taken.wait()

    def _end(self) -> None:
        self._ending = True
        self._woken.set()

    def _take_in(self, message: messages.ClientMessage) -> None:
        match message:
            case messages.Ask():
                self._fresh = False
                self._ask(message)
            case messages.Cancel():
                answer = self._session.answers.get(message.id)
                if answer is not None:
                    answer.fail(499, "cancelled", "The client has cancelled it.")
            case messages.Resume():
                self._resume(message)
            case messages.Ping():
                self._say(messages.PONG)

    def _ask(self, ask: messages.Ask) -> None:
        session = self._session
        if ask.id in session.answers:
            raise messages.BadMessage("The id is that of a request that is not over.", messages.ID_IN_USE)
        try:
            self._check_capacity()
            self._begin(messages.request_of(ask.members), session.new(ask.id), session.add)
        except InvalidRequest as error:
            self._refuse(ask.id, CallerError(400, "bad-request", str(error)))
        except BodyTooLarge as error:
            self._refuse(ask.id, CallerError(413, "body-too-large", str(error)))
        except CallerError as error:
            self._refuse(ask.id, error)

    def _check_capacity(self) -> None:
        if self._ending:
            raise CallerError(503, "draining", "This connection ends. Send it over a new one.")
        if self._session.full:
            most = self._limits.in_flight
            raise CallerError(429, "too-many-requests", f"{most} requests are under way; wait for one.")
        if self._sessions.full:
            raise CallerError(503, "busy", "This router holds too many answers. Send it in a second.")

    def _refuse(self, ident: str, error: CallerError) -> None:
        self._say(messages.error(ident, 1, error.status, error.code, error.message))

    def _resume(self, wanted: messages.Resume) -> None:
        if not self._fresh:
            raise messages.BadMessage('"resume" must come before the first request of a connection.')
        own, found = self._session, self._sessions.resume(wanted.session, self)
        if found is own:
            raise messages.BadMessage("This connection has that session already.")
        self._fresh = False
        if found is not None:
            self._session = found
            self._sessions.end(own)
        lost = list(wanted.answers) if found is None else found.rewind(wanted.answers)
        self._say_session(resumed=found is not None)
        for ident in lost:
            self._refuse(
                ident,
                CallerError(
                    410,
                    "not-held",
                    "This answer is not held here any more. The request may have run; repeat it if that does "
                    "no harm, or if it had an Idempotency-Key.",
                ),
            )
        self._woken.set()

    # Writing.

    def _say_session(self, *, resumed: bool) -> None:
        limits = self._limits
        self._say(messages.session(self._session.id, limits.hold_s, limits.in_flight, resumed=resumed))

    def _say(self, message: bytes) -> None:
        self._direct.append(message)
        self._woken.set()

    def _close(self, code: int, reason: str) -> None:
        if self._closing is None:
            self._closing = code, reason
            self._woken.set()

    async def _write(self, send: Send) -> None:
        """Send what is here. It ends with the connection, whose end `_read` sees too."""
        with contextlib.suppress(OSError):  # ASGI servers raise it from send() when the client has left
            while True:
                if self._closing is not None:
                    code, reason = self._closing
                    await send({"type": "websocket.close", "code": code, "reason": reason})
                    return
                message = self._next()
                if message is not None:
                    await send({"type": "websocket.send", "text": message.decode()})
                elif self._ending and not self._session.busy:
                    self._closing = RESTART, "Connect again."
                else:
                    self._woken.clear()
                    await self._woken.wait()

    def _next(self) -> bytes | None:
        if self._direct:
            message = self._direct.popleft()
            self._taken.set()
            return message
        return self._session.take()
