"""One request on its way through the routers, without the sending itself: both transports share it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final, cast

from skyfleet.client.routers import PROBE_S, Choice, Routers, Watch
from skyfleet.client.rules import Failure, Verdict, after_failure, after_reply, failure_of, is_repeatable

if TYPE_CHECKING:
    import httpx

# A connection to a far region takes a third of it; after it the next router still replies within a second.
CONNECT_S: Final = 0.8
# As many as the OpenAI library has (httpx itself: 100). Each request that waits for a lost router holds one,
# and a question for its `/health` needs one more.
_CONNECTIONS: Final = 1000
_IDLE_CONNECTIONS: Final = 100


@dataclass(frozen=True, slots=True)
class Step:
    """One attempt. index: of the router. request: for it. ask: its `/health` first. last: there is no other
    router. began: when, of the client's clock."""

    index: int
    request: httpx.Request
    ask: bool
    last: bool
    began: float


class Fleet:
    """The routers of one transport, for all its requests and threads."""

    def __init__(
        self, urls: Sequence[str], library: ModuleType, ticks: Callable[[], float] = time.monotonic
    ) -> None:
        """urls: of the routers, without a path below theirs; one that is there twice counts once. library:
        httpx or httpx2. ticks: seconds of a clock that never goes back. Raises ValueError for an empty list
        and what is no URL of a router."""
        self.library = cast("Any", library)
        given = [urls] if isinstance(urls, str) else list(dict.fromkeys(urls))
        found = [self._parsed(url) for url in given]
        wrong = [url for url, known in zip(given, found, strict=True) if known is None]
        if wrong or not found:
            raise ValueError(
                f"Found {wrong or 'no URL'}, expected URLs of routers, e.g. https://router.example.net"
            )
        self.urls = list({_place(url): url for url in reversed(found) if url is not None}.values())[::-1]
        self._ticks, self._lock = ticks, threading.Lock()
        self._routers = Routers(len(self.urls))

    def call(self, request: httpx.Request) -> Call | None:
        """None: the request is for none of the routers."""
        for url in self.urls:
            prefix = url.raw_path.rstrip(b"/")
            below = request.url.raw_path.removeprefix(prefix)
            inside = prefix + below == request.url.raw_path and below[:1] in (b"", b"/", b"?")
            if inside and _origin(url) == _origin(request.url):
                return Call(self, request, below)
        return None

    def _parsed(self, url: object) -> httpx.URL | None:
        """None: it is no URL of a router, which has neither user nor query."""
        try:
            found: httpx.URL = self.library.URL(url.rstrip("/") if isinstance(url, str) else url)
        except (self.library.InvalidURL, TypeError):
            return None
        plain = found.host and not (found.userinfo or found.query or found.fragment)
        if (found.port or 0) > 65_535:  # the library leaves that to the first request
            return None
        return found if plain and found.scheme in ("http", "https") else None

    def choose(self, tried: set[int]) -> Choice | None:
        """The next router for a request; None: it has tried all of them."""
        with self._lock:
            self._routers, choice = self._routers.choose(tried, self._ticks())
        return choice

    def note(self, index: int, *, lost: bool) -> None:
        """What a router has shown."""
        with self._lock:
            known, now = self._routers, self._ticks()
            self._routers = known.lost(index, now) if lost else known.replied(index, now)

    def watch(self, step: Step, tried: set[int], *, may_leave: bool) -> Watch:
        """What a request does now that waits for a reply."""
        with self._lock:
            self._routers, found = self._routers.watch(
                step.index, step.began, self._ticks(), tried=tried, may_leave=may_leave
            )
        return found

    def has_other(self, tried: set[int]) -> bool:
        """Whether a request can use a further router that is not silent."""
        with self._lock:
            return self._routers.has_other(tried)

    def now(self) -> float:
        """Of the client's clock."""
        return self._ticks()

    def limits(self) -> httpx.Limits:
        """Of the transport that sends."""
        return self.library.Limits(max_connections=_CONNECTIONS, max_keepalive_connections=_IDLE_CONNECTIONS)

    def health(self, index: int, seconds: float = PROBE_S) -> httpx.Request:
        """The question whether a router is there. seconds: for its answer. A pool that stays full for half of
        them is this client's limit, and no silence."""
        url = self.urls[index]
        timeout = {**dict.fromkeys(("connect", "read", "write"), seconds), "pool": seconds / 2}
        target = url.copy_with(raw_path=url.raw_path.rstrip(b"/") + b"/health")
        return self.library.Request("GET", target, extensions={"timeout": timeout})

    def answered(self, index: int, result: httpx.Response | Exception) -> bool:
        """Take in what came of that question; whether the router is there. A full pool of this client says
        nothing about a router, and a platform at its limit (429) nothing about the requests that run."""
        own = isinstance(result, Exception) and failure_of(result) is Failure.OWN
        status = 0 if isinstance(result, Exception) else result.status_code
        if not own:
            with self._lock:
                known, now = self._routers, self._ticks()
                self._routers = known.answered(index, now, good=status == 200, full=status == 429)
        return own or status == 200


class Call:
    """One request of the caller."""

    def __init__(self, fleet: Fleet, request: httpx.Request, target: bytes) -> None:
        """target: path and query below the router's URL."""
        self._fleet, self._request, self._target = fleet, request, target
        self._tried = set[int]()
        self._fresh = isinstance(request.stream, fleet.library.ByteStream)
        self._repeatable = self._fresh and is_repeatable(request.method, request.headers)

    def next(self) -> Step | None:
        """The next attempt, unless all routers had one."""
        choice = self._fleet.choose(self._tried)
        if choice is None:
            return None
        self._tried.add(choice.index)
        request = self._copy(choice.index, last=choice.last)
        return Step(choice.index, request, choice.ask, choice.last, self._fleet.now())

    def watch(self, step: Step) -> Watch:
        """What to do while there is no reply."""
        return self._fleet.watch(step, self._tried, may_leave=self._repeatable)

    def judge(self, step: Step, result: httpx.Response | Exception) -> bool:
        """Take in what an attempt brought; whether the request goes on to the next router."""
        verdict = self._verdict(result)
        self._fleet.note(step.index, lost=verdict.lost)
        if isinstance(result, Exception):
            return verdict.go_on and not step.last
        return verdict.go_on and self._fleet.has_other(self._tried)

    def _verdict(self, result: httpx.Response | Exception) -> Verdict:
        if isinstance(result, Exception):
            return after_failure(failure_of(result), repeatable=self._repeatable)
        found = after_reply(result.status_code, result.headers, repeatable=self._repeatable)
        return Verdict(found.lost, found.go_on and self._fresh)

    def _copy(self, index: int, *, last: bool) -> httpx.Request:
        url, sent = self._fleet.urls[index], self._request
        below = self._target if self._target[:1] == b"/" else b"/" + self._target
        target = url.copy_with(raw_path=url.raw_path.rstrip(b"/") + below)
        headers = sent.headers.copy()
        headers["host"] = target.netloc.decode("ascii")
        extensions = dict(sent.extensions)
        if not last:
            timeout = dict(extensions.get("timeout", {}))
            given = timeout.get("connect")
            timeout["connect"] = CONNECT_S if given is None else min(given, CONNECT_S)
            extensions["timeout"] = timeout
        return self._fleet.library.Request(
            sent.method, target, headers=headers, stream=sent.stream, extensions=extensions
        )


def _place(url: httpx.URL) -> tuple[object, bytes]:
    return _origin(url), url.raw_path.rstrip(b"/")


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    port = url.port or {"http": 80, "https": 443}.get(url.scheme)
    return url.scheme, url.host, port
