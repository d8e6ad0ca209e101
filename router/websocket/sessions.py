"""The sessions of one instance: which answers belong to which client, and for how long they are kept.

Rules
- A session begins with a connection and outlives it by `hold_s`, if it has an answer. Its id has 128 random
  bits and is all that a client needs to come back, beside the API key.
- While a connection is gone, its requests run on and their messages wait, within the bounds of `Limits`.
- Another connection that resumes a session takes it over. What it does not name is dropped: the client has it
  or wants it no more.
- Above `held_bytes` in all sessions, answers that were sent are dropped first, the oldest sessions' first;
  then sessions without a connection.
- Nothing of a session is in another instance. A client that meets one is told that its answers are not held.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from typing import Protocol

from router.websocket.answer import Answer
from router.websocket.limits import Limits


class Connection(Protocol):
    """What a session needs of a connection."""

    def wake(self) -> None:
        """There is a message to send."""
        ...

    def taken_over(self) -> None:
        """Another connection has its session."""
        ...


class Timer(Protocol):
    """What `later` returns, as asyncio's TimerHandle."""

    def cancel(self) -> None: ...


Later = Callable[[float, Callable[[], None]], Timer]


class Session:
    """One client's answers. grew: called with the bytes that they grew by."""

    def __init__(self, ident: str, limits: Limits, grew: Callable[[int], None]) -> None:
        self.id, self._limits, self._grew = ident, limits, grew
        self.answers: dict[str, Answer] = {}  # not over, or not sent
        self._sent: OrderedDict[str, Answer] = OrderedDict()  # over and sent
        self._ready: deque[Answer] = deque()  # with a message to send; each once
        self.connection: Connection | None = None
        self.timer: Timer | None = None

    @property
    def full(self) -> bool:
        """Whether it may have no more requests at once."""
        return len(self.answers) >= self._limits.in_flight

    @property
    def busy(self) -> bool:
        """Whether an answer is not complete or not sent."""
        return bool(self.answers)

    @property
    def empty(self) -> bool:
        """Whether it holds no answer."""
        return not self.answers and not self._sent

    def new(self, ident: str) -> Answer:
        """An answer for a request that is not begun."""
        return Answer(ident, self._limits, self._changed, self._grew)

    def add(self, answer: Answer) -> None:
        """The request of this answer begins. The caller checks that its id is not in use."""
        former = self._sent.pop(answer.id, None)
        if former is not None:
            former.forget()
        self.answers[answer.id] = answer

    def take(self) -> bytes | None:
        """The next message to send, of each answer in turn."""
        while self._ready:
            answer = self._ready.popleft()
            message = answer.take()
            if message is None:
                continue
            if answer.unsent:
                self._ready.append(answer)
            elif answer.over:
                self._keep(answer)
            return message
        return None

    def rewind(self, received: Mapping[str, int]) -> list[str]:
        """Go on for a client that has received so much. Returns the ids of answers that are not held."""
        held = {**self._sent, **self.answers}
        self._sent, self.answers = OrderedDict(), {}
        self._ready.clear()
        lost: list[str] = []
        for ident, after in received.items():
            answer = held.pop(ident, None)
            if answer is None or not answer.rewind(after):
                lost.append(ident)
                if answer is not None:
                    answer.forget()
            elif answer.unsent or not answer.over:
                self.answers[ident] = answer
                if answer.unsent:
                    self._ready.append(answer)
            else:
                self._sent[ident] = answer
        for answer in held.values():
            answer.forget()
        return lost

    def trim(self) -> None:
        """Keep nothing that was sent."""
        for answer in self._sent.values():
            answer.forget()
        self._sent.clear()
        for answer in self.answers.values():
            answer.drop_sent()

    def close(self) -> None:
        """End everything."""
        if self.timer is not None:
            self.timer.cancel()
        for answer in [*self.answers.values(), *self._sent.values()]:
            answer.forget()
        self.answers.clear()
        self._sent.clear()
        self._ready.clear()

    def _changed(self, answer: Answer) -> None:
        if answer not in self._ready:
            self._ready.append(answer)
        if self.connection is not None:
            self.connection.wake()

    def _keep(self, answer: Answer) -> None:
        del self.answers[answer.id]
        self._sent[answer.id] = answer
        while len(self._sent) > self._limits.held_answers:
            self._sent.popitem(last=False)[1].forget()


class Sessions:
    """All sessions of an instance. entropy: so many random bytes. later: call after so many seconds."""

    def __init__(self, limits: Limits, entropy: Callable[[int], bytes], later: Later) -> None:
        self._limits, self._entropy, self._later = limits, entropy, later
        self._all: OrderedDict[str, Session] = OrderedDict()
        self.held = 0

    @property
    def full(self) -> bool:
        """Whether the messages that are held exceed their limit."""
        return self.held > self._limits.held_bytes

    def begin(self, connection: Connection) -> Session:
        """A session for a new connection."""
        session = Session(self._entropy(16).hex(), self._limits, self._grew)
        session.connection = connection
        self._all[session.id] = session
        return session

    def resume(self, ident: str, connection: Connection) -> Session | None:
        """The session of this id for another connection; None: it is not held."""
        session = self._all.get(ident)
        if session is None:
            return None
        former, session.connection = session.connection, connection
        if session.timer is not None:
            session.timer.cancel()
            session.timer = None
        if former is not None:
            former.taken_over()
        return session

    def leave(self, session: Session, connection: Connection) -> None:
        """A connection is gone."""
        if session.connection is not connection:
            return
        session.connection = None
        if session.empty:
            self.end(session)
            return
        self._all.move_to_end(session.id)
        session.timer = self._later(self._limits.hold_s, lambda: self.end(session))

    def end(self, session: Session) -> None:
        """Forget a session and what runs for it."""
        self._all.pop(session.id, None)
        session.close()

    def close(self) -> None:
        """Forget all of them."""
        for session in list(self._all.values()):
            self.end(session)

    def _grew(self, size: int) -> None:
        self.held += size
        if size > 0 and self.held > self._limits.held_bytes:
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        for session in list(self._all.values()):
            session.trim()
            if not self.full:
                return
        for session in list(self._all.values()):
            if session.connection is None:
                self.end(session)
                if not self.full:
                    return
