"""Transports of httpx that send each request through the first router that is there.

Rules
- `routers`, `rules` and `call` decide; what is here sends, waits and closes.
- While a request has no reply, the transport asks a router that is silent for its `/health`. If that fails, a
  request that may be repeated goes to the next router; any other waits on, for its own timeout.
- Once a reply has begun it is the caller's: what breaks then is the caller's error.
- An attempt that was given up is closed, and a router ends its agent's work then. So is one whose caller was
  interrupted or cancelled while it waited.
- A question has its time as a whole. The time limits of httpx are for one read each, which a router that
  sends byte by byte never exceeds, and none holds for a name lookup of a synchronous client.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Final

import anyio

from skyfleet.client.call import Call, Fleet, Step
from skyfleet.client.routers import PROBE_S

if TYPE_CHECKING:
    import httpx

    Base, AsyncBase = httpx.BaseTransport, httpx.AsyncBaseTransport
else:  # either library takes an object with these methods
    Base = AsyncBase = object

_SILENT: Final = "The router does not answer."


class Transport(Base):
    """For `httpx.Client`; safe in several threads, as `httpx.HTTPTransport` is."""

    def __init__(
        self,
        urls: Sequence[str],
        library: ModuleType,
        inner: httpx.BaseTransport | None = None,
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        """urls: of the routers, the preferred one first. library: httpx or httpx2. inner: what sends; None:
        the library's own. Raises ValueError for what is no URL."""
        self._fleet = Fleet(urls, library, ticks)
        self._inner: httpx.BaseTransport = inner or self._fleet.library.HTTPTransport(
            limits=self._fleet.limits()
        )

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """The reply of the first router that is there. Raises the library's errors."""
        call = self._fleet.call(request)
        if call is None:
            return self._inner.handle_request(request)
        while (step := call.next()) is not None:
            if step.ask and not self._is_there(step.index):
                continue
            result = self._attempt(call, step)
            if not call.judge(step, result):
                if isinstance(result, Exception):
                    raise result
                return result
            if not isinstance(result, Exception):
                result.close()
        raise AssertionError("the last router's result is the caller's")

    def close(self) -> None:
        """Close all connections."""
        self._inner.close()

    def __enter__(self) -> Transport:
        self._inner.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._inner.__exit__()

    def _attempt(self, call: Call, step: Step) -> httpx.Response | Exception:
        if step.last:
            return _sent(self._inner, step.request)
        attempt = _Attempt(self._inner, step.request)
        try:
            while not attempt.wait((found := call.watch(step)).wait_s):
                if found.leave:
                    attempt.abandon()
                    return self._fleet.library.ConnectTimeout(_SILENT)
                if found.ask_s:
                    self._is_there(step.index, found.ask_s)
        except BaseException:  # such as KeyboardInterrupt
            attempt.abandon()
            raise
        return attempt.result()

    def _is_there(self, index: int, seconds: float = PROBE_S) -> bool:
        asking = _Attempt(self._inner, self._fleet.health(index, seconds))
        result = asking.result() if asking.wait(seconds) else self._fleet.library.ReadTimeout(_SILENT)
        asking.abandon()
        return self._fleet.answered(index, result)


class _Attempt:
    """One request in a thread of its own, so that a silent router can be given up."""

    def __init__(self, inner: httpx.BaseTransport, request: httpx.Request) -> None:
        self._inner, self._request = inner, request
        self._done, self._lock = threading.Event(), threading.Lock()
        self._result: httpx.Response | Exception | None = None
        self._abandoned = False
        # A daemon: a thread that waits for a lost router must not delay the end of the process.
        threading.Thread(target=self._run, name="skyfleet-client", daemon=True).start()

    def wait(self, seconds: float) -> bool:
        return self._done.wait(seconds)

    def result(self) -> httpx.Response | Exception:
        assert self._result is not None  # noqa: S101 - only after `wait`
        return self._result

    def abandon(self) -> None:
        with self._lock:
            self._abandoned, result = True, self._result
        _close(result)

    def _run(self) -> None:
        result = _sent(self._inner, self._request)
        with self._lock:
            self._result, abandoned = result, self._abandoned
        self._done.set()
        if abandoned:
            _close(result)


def _close(result: httpx.Response | Exception | None) -> None:
    if result is not None and not isinstance(result, Exception):
        result.close()


def _sent(inner: httpx.BaseTransport, request: httpx.Request) -> httpx.Response | Exception:
    try:
        return inner.handle_request(request)
    except Exception as error:
        return error


class AsyncTransport(AsyncBase):
    """For `httpx.AsyncClient`, on asyncio and trio."""

    def __init__(
        self,
        urls: Sequence[str],
        library: ModuleType,
        inner: httpx.AsyncBaseTransport | None = None,
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        """As `Transport`."""
        self._fleet = Fleet(urls, library, ticks)
        self._inner: httpx.AsyncBaseTransport = inner or self._fleet.library.AsyncHTTPTransport(
            limits=self._fleet.limits()
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """The reply of the first router that is there. Raises the library's errors."""
        call = self._fleet.call(request)
        if call is None:
            return await self._inner.handle_async_request(request)
        while (step := call.next()) is not None:
            if step.ask and not await self._is_there(step.index):
                continue
            result = await self._attempt(call, step)
            if not call.judge(step, result):
                if isinstance(result, Exception):
                    raise result
                return result
            await _aclose(result)
        raise AssertionError("the last router's result is the caller's")

    async def aclose(self) -> None:
        """Close all connections."""
        await self._inner.aclose()

    async def __aenter__(self) -> AsyncTransport:
        await self._inner.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._inner.__aexit__()

    async def _attempt(self, call: Call, step: Step) -> httpx.Response | Exception:
        if step.last:
            return await self._sent(step.request)
        results: list[httpx.Response | Exception] = []
        try:
            async with anyio.create_task_group() as group:

                async def run() -> None:
                    results.append(await self._sent(step.request))
                    group.cancel_scope.cancel()

                group.start_soon(run)
                while not (found := call.watch(step)).leave:
                    if found.ask_s:
                        await self._is_there(step.index, found.ask_s)
                    else:
                        await anyio.sleep(found.wait_s)
                group.cancel_scope.cancel()
        except BaseException:  # the caller was cancelled as the reply came
            for result in results:
                with anyio.CancelScope(shield=True):
                    await _aclose(result)
            raise
        return results[0] if results else self._fleet.library.ConnectTimeout(_SILENT)

    async def _sent(self, request: httpx.Request) -> httpx.Response | Exception:
        try:
            return await self._inner.handle_async_request(request)
        except Exception as error:
            return error

    async def _is_there(self, index: int, seconds: float = PROBE_S) -> bool:
        result: httpx.Response | Exception = self._fleet.library.ReadTimeout(_SILENT)
        with anyio.move_on_after(seconds):
            result = await self._sent(self._fleet.health(index, seconds))
            await _aclose(result)
        return self._fleet.answered(index, result)


async def _aclose(result: httpx.Response | Exception) -> None:
    if not isinstance(result, Exception):
        await result.aclose()
