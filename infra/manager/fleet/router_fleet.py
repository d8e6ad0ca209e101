"""Ask the routers again and again, and hand the newest picture to every listener.

Rules
- Each router has a task and a timeout of its own: one that hangs delays no other. The timeout is of the whole
  answer, and a router whose answer is late is not asked again before it ended.
- Whatever goes wrong becomes a problem of the picture, and the loops go on.
- Routers are asked often while a picture is watched, and rarely otherwise: each question to a function costs.
  So are the stack config and the outputs, and a change of theirs is a new picture at once.
- What a router has been told is shown at once: what drains, and its strategy. Another instance of it may
  answer, which follows with its next request.
- A listener gets the newest picture and skips the ones in between; nothing is queued for it.
- What blocks (HTTP by `requests`, Pulumi, files) runs in threads.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Final

from infra.manager.errors import Conflict, NotFound, Unavailable
from infra.manager.fleet.fold import Answer, Deployed, Desired, fold, told_strategy, told_to_drain
from infra.manager.fleet.picture import Picture
from infra.operations import json_access
from infra.operations.errors import CommandFailed
from infra.operations.routers import control, draining
from infra.operations.stack.outputs import Outputs
from infra.operations.suggest import suggestion

_log: Final = logging.getLogger(__name__)
WATCHED_S: Final = 0.5
ALONE_S: Final = 5.0
# After a change: each instance of a router follows with its next request, and says so in the one after.
CHANGED_S: Final = 0.1
# Until then the other instances of a router have read what it was told.
FOLLOWED_S: Final = 3.0
# Routers that are asked together answer nearly together, and are one picture.
TOGETHER_S: Final = 0.05
# A reply may come slowly, byte by byte, so the timeout of its reads does not bound it.
WHOLE_S: Final = 4.0
# A picture waits so long for the first answer of each router.
FIRST_S: Final = 1.0
# `skyfleet top` and scripts ask for the picture again and again.
POLLED_S: Final = 3.0
NO_ANSWER_YET: Final = "no answer yet"
# The stack config and the outputs are files; the outputs of a real stack are kept by their source for longer.
STATE_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class Sources:
    """Where the facts come from; each is called in a thread.

    outputs: of the stack; raises CommandFailed. desired: the stack config. deployed: the outputs as the
    picture needs them. ask: one router, with the answer before and the API key. clock: Unix seconds.
    """

    stack: str
    outputs: Callable[[], Outputs]
    desired: Callable[[], Desired]
    deployed: Callable[[Outputs], Deployed]
    ask: Callable[[Answer, str], Answer]
    clock: Callable[[], float] = time.time


@dataclass(slots=True)
class RouterFleet:
    """The `Fleet` of infra/manager/services.py over the routers of a stack. Started by `running`."""

    sources: Sources
    _answers: dict[str, Answer] = field(default_factory=dict[str, Answer])
    _tasks: dict[str, asyncio.Task[None]] = field(default_factory=dict[str, asyncio.Task[None]])
    _outputs: Outputs | None = None
    _desired: Desired = field(default_factory=Desired)
    _deployed: Deployed = field(default_factory=Deployed)
    _picture: Picture | None = None
    _watchers: int = 0
    _changed_at: float = -FOLLOWED_S
    _polled_at: float = -POLLED_S
    _since: dict[str, float] = field(default_factory=dict[str, float])
    # By router, the targets that drain, when it was told (Unix seconds), and until when (monotonic) that
    # counts, whatever an instance says.
    _draining: dict[str, tuple[Sequence[str], float, float]] = field(
        default_factory=dict[str, tuple[Sequence[str], float, float]]
    )
    # By router, the strategy that was set, and until when (monotonic) it counts.
    _strategies: dict[str, tuple[str, float]] = field(default_factory=dict[str, tuple[str, float]])
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    _wakes: int = 0
    _woken: asyncio.Event = field(default_factory=asyncio.Event)
    _answered: asyncio.Event = field(default_factory=asyncio.Event)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Ask the routers while the context is open."""
        state = asyncio.create_task(self._follow_state())
        folding = asyncio.create_task(self._follow_answers())
        try:
            yield
        finally:
            tasks = [state, folding, *self._tasks.values()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def picture(self) -> Picture:
        """The newest picture. Raises Unavailable before the first."""
        if not self._is_watched:
            self._wake()
        self._polled_at = time.monotonic()
        if self._picture is None:
            raise Unavailable("no router has been asked yet; the first answers take a second")
        return self._picture

    async def pictures(self) -> AsyncIterator[Picture]:
        """The newest picture now, and each newer one."""
        with self._watching():
            shown: Picture | None = None
            while True:
                changed = self._changed
                if self._picture is not None and self._picture is not shown:
                    shown = self._picture
                    yield shown
                else:
                    await changed.wait()

    async def set_strategy(self, name: str) -> Sequence[str]:
        """Have each router pick by a strategy; a sentence for each router."""
        answers = await asyncio.to_thread(control.set_strategy, self._stack(), name)
        until = time.monotonic() + FOLLOWED_S
        for one in answers:
            # Without one it is the configured strategy, which the router names in its next answer.
            self._strategies[one.url] = json_access.string(one.control.get("strategy")), until
        self._show_told(answers)
        return _told(answers, control.sentence)

    async def drain(self, target: str, *, undo: bool, force: bool) -> Sequence[str]:
        """Drain a target at each router, or end that; a sentence for each router."""
        outputs = self._stack()
        known = outputs.target_keys
        if target not in known:
            hint = suggestion(target, known)
            raise NotFound(f"no target {target!r}.{hint} Known: {', '.join(known)}.", known=known)
        answers = await asyncio.to_thread(_drain, outputs, target, undo=undo, force=force)
        at, until = self.sources.clock(), time.monotonic() + FOLLOWED_S
        for one in answers:
            if not one.problem:
                self._draining[one.url] = one.draining, at, until
        self._show_told(answers)
        return _told(answers, draining.sentence)

    def _show_told(self, answers: Sequence[control.ControlAnswer]) -> None:
        """Show at once what the routers have been told, and ask them."""
        for one in answers:
            if one.url in self._answers:
                self._answers[one.url] = self._followed(one.url, self._answers[one.url])
        self._changed_at = time.monotonic()
        self._answered.set()
        self._wake()

    @property
    def _is_watched(self) -> bool:
        return self._watchers > 0 or time.monotonic() - self._polled_at < POLLED_S

    def _stack(self) -> Outputs:
        if self._outputs is None:
            raise Unavailable(self._deployed.problem or "the outputs of the stack are not read yet")
        return self._outputs

    @contextmanager
    def _watching(self) -> Generator[None]:
        self._watchers += 1
        self._wake()
        try:
            yield
        finally:
            self._watchers -= 1

    async def _follow_state(self) -> None:
        """Read the stack config and the outputs again and again, and keep a task for each router."""
        while True:
            try:
                await self._read_state()
            except CommandFailed as failed:
                self._outputs, self._deployed = None, Deployed(problem=failed.message)
            except Exception as error:
                _log.exception("the state of the stack")
                self._outputs, self._deployed = None, Deployed(problem=_unexpected("the stack", error))
            self._keep_tasks(self._outputs)
            if self._outputs is None:
                self._publish()
            await self._pause_until_woken(WATCHED_S if self._is_watched else STATE_S)

    async def _read_state(self) -> None:
        before = self._desired, self._deployed
        self._desired = await asyncio.to_thread(self.sources.desired)
        self._outputs = await asyncio.to_thread(self.sources.outputs)
        self._deployed = await asyncio.to_thread(self.sources.deployed, self._outputs)
        if (self._desired, self._deployed) != before:
            self._answered.set()

    def _keep_tasks(self, outputs: Outputs | None) -> None:
        urls = outputs.router_urls if outputs else []
        for url in [url for url in self._tasks if url not in urls]:
            self._tasks.pop(url).cancel()
        for url in urls:
            if url not in self._tasks:
                self._since[url] = time.monotonic()
                self._tasks[url] = asyncio.create_task(self._follow_router(url))
        self._answers = {url: self._answers[url] for url in urls if url in self._answers}

    async def _follow_router(self, url: str) -> None:
        """Ask one router again and again."""
        while outputs := self._outputs:
            before, wakes = (
                self._answers.get(url) or Answer(url, outputs.router_places.get(url, "")),
                self._wakes,
            )
            asking = asyncio.create_task(asyncio.to_thread(self.sources.ask, before, outputs.api_key))
            await asyncio.wait({asking}, timeout=WHOLE_S)
            if not asking.done():
                self._take(url, replace(before, status={}, problem=f"no whole answer within {WHOLE_S:g} s"))
                await asyncio.wait({asking})
            if error := asking.exception():
                _log.error("the router %s", url, exc_info=error)
                answer = replace(before, status={}, problem=_unexpected("its answer", error))
            else:
                answer = asking.result()
            self._take(url, answer)
            if wakes == self._wakes:
                await self._pause()

    def _take(self, url: str, answer: Answer) -> None:
        if not answer.problem:
            answer = self._followed(url, replace(answer, answered=self.sources.clock()))
        self._answers[url] = answer
        self._answered.set()

    def _followed(self, url: str, answer: Answer) -> Answer:
        """The answer of an instance, with what its router has been told lately."""
        now = time.monotonic()
        targets, at, until = self._draining.get(url, ((), 0.0, now))
        if now < until:
            answer = told_to_drain(answer, targets, at)
        strategy, until = self._strategies.get(url, ("", now))
        return told_strategy(answer, strategy) if strategy and now < until else answer

    def _wake(self) -> None:
        """Have each router asked now, also one that is just being asked: its answer may be older."""
        self._wakes += 1
        woken, self._woken = self._woken, asyncio.Event()
        woken.set()

    async def _pause(self) -> None:
        """Until the next question; a new watcher or a change by this manager ends it at once."""
        watched_s = CHANGED_S if time.monotonic() - self._changed_at < FOLLOWED_S else WATCHED_S
        await self._pause_until_woken(watched_s if self._is_watched else ALONE_S)

    async def _pause_until_woken(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._woken.wait(), seconds)

    async def _follow_answers(self) -> None:
        """Fold the newest answers a moment after each, and once a second."""
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._answered.wait(), FIRST_S)
            await asyncio.sleep(TOGETHER_S)
            self._answered.clear()
            waited = time.monotonic() - FIRST_S
            if self._tasks and all(url in self._answers or self._since[url] < waited for url in self._tasks):
                self._publish()

    def _publish(self) -> None:
        places = self._outputs.router_places if self._outputs else {}
        answers = [
            self._answers.get(url) or Answer(url, places.get(url, ""), problem=NO_ANSWER_YET)
            for url in (self._outputs.router_urls if self._outputs else [])
        ]
        now = self.sources.clock()
        try:
            self._picture = fold(self.sources.stack, answers, self._desired, self._deployed, now)
        except Exception as error:
            _log.exception("the picture")
            problems = (_unexpected("the picture", error),)
            self._picture = Picture(now, self.sources.stack, self._desired.version, (), (), (), (), problems)
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()


def _unexpected(what: str, error: BaseException) -> str:
    """A problem for an operator; the log has the rest."""
    return f"{what} cannot be read ({type(error).__name__}); the manager's log says more."


def _drain(outputs: Outputs, target: str, *, undo: bool, force: bool) -> Sequence[control.ControlAnswer]:
    """Change what drains at each router. Raises Conflict for the last target, unless forced."""
    known, before = outputs.target_keys, control.read_all(outputs)
    wanted = {
        one.url: draining.desired(one.draining, [target], known, undo=undo)
        for one in before
        if not one.problem
    }
    if not force and any(
        draining.drains_last(one.draining, wanted[one.url], known) for one in before if one.url in wanted
    ):
        raise Conflict(
            f"{target} is the last target that does not drain. Routers send to draining targets when all "
            "drain, so nothing would be spared. Force drains it all the same.",
            target=target,
        )
    return control.set_draining(outputs, before, lambda one: wanted.get(one.url))


def _told(
    answers: Sequence[control.ControlAnswer], sentence: Callable[[control.ControlAnswer], str]
) -> Sequence[str]:
    """A sentence for each router. Raises Unavailable when none took the change."""
    said = [sentence(answer) for answer in answers]
    if not any(not answer.problem for answer in answers):
        raise Unavailable(f"no router took the change: {'; '.join(said) or 'the stack has none'}")
    return said
