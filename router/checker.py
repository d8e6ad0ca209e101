"""The checker as an ASGI app: an invocation probes each target several times and tells the routers.

Rules
- A scheduler invokes it (`POST /events` on AWS and Azure, `POST /` on Google Cloud); what it sends is not
  read.
- There are `probes` rounds, `apart_s` apart. A round probes all targets at once, but for those whose last
  probe is still pending. Only the end of the invocation waits for a slow target.
- Cold is not down: a target that this instance has not seen alive lately gets `cold_timeout_s` for one probe.
  If that fails, the next probes have `timeout_s` again. A cold answer is a good answer.
- Each router gets a snapshot as soon as a target's verdict changes, and at the end. It has the last ten
  results of each target, so a later snapshot makes up for a lost one. A router that cannot be reached does
  not delay the others. The snapshot lists all routers, since no router knows the others' URLs.
- One invocation runs at a time. A second one returns at once and reports that it did nothing.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Callable, Mapping
from typing import Final, cast

from router.config import CheckerSettings, build_id, checker_settings
from router.core.health import snapshots
from router.core.health.snapshots import MOST_NUMBER, ProbeResult, Snapshot
from router.core.identity import mismatch
from router.core.policy import DEFAULT, SKEW_S, WARM_S
from router.core.targets import Target
from router.net.errors import FetchError
from router.net.fetch import FetchRequest, FetchResponse, fetch
from router.net.pool import Pool
from skyfleet import signing
from skyfleet.asgi import Header, Receive, Scope, Send, json_bytes, lifespan, send_json
from skyfleet.forwarded import PublicUrl
from skyfleet.origin import Origin

_SNAPSHOT_PATH: Final = "/_skyfleet/health"
# A router may start cold first.
_SEND_TIMEOUT_S: Final = 10.0
_LONGEST_HEALTH: Final = 65_536


def create(environ: Mapping[str, str]) -> Checker:
    """The app for SKYFLEET_APP; SettingsError lists every mistake in the environment."""
    return Checker(checker_settings(environ, build_id(__file__)))


class Checker:
    """One checker instance; a warm instance keeps its results between invocations."""

    def __init__(
        self,
        settings: CheckerSettings,
        *,
        clock: Callable[[], float] = time.time,
        entropy: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self._settings, self._clock, self._entropy = settings, clock, entropy
        self._pool = Pool(connect_timeout_s=settings.check.cold_timeout_s, clock=clock)
        self._results: dict[str, tuple[ProbeResult, ...]] = {target.key: () for target in settings.targets}
        self._alive_at: dict[str, float] = {}
        self._running = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await lifespan(receive, send, self._close)
        elif scope["type"] == "http":
            code, value = await self._answer(scope["method"], scope["path"])
            await send_json(send, code, json_bytes(value))

    async def _close(self) -> None:
        self._pool.close()

    async def _answer(self, method: str, path: str) -> tuple[int, dict[str, object]]:
        place = self._settings.place
        if path == "/health" and method in ("GET", "HEAD"):
            where = {"cloud": place.cloud, "region": place.region, "build": place.build, "fleet": place.fleet}
            return 200, {"status": "ok", **where, "role": "checker"}
        if path in ("/", "/events") and method == "POST":
            return 200, await self.run()
        message = f"A checker takes POST / and POST /events, found {method[:20]} {path[:60]}."
        return 404, {"error": {"code": "not-found", "message": message}}

    async def run(self) -> dict[str, object]:
        """One invocation. Returns what it did."""
        if self._running:
            return {"rounds": 0, "sent": 0, "failed": [], "busy": True}
        self._running = True
        try:
            return await _Invocation(self).run()
        finally:
            self._running = False

    async def probe(self, target: Target) -> None:
        """Probe one target once and keep the result."""
        at = self._clock()
        timeout = self._timeout_s(target.key, at)
        request = FetchRequest(target.origin, "GET", "/health")
        began = time.perf_counter()
        try:
            reply = await fetch(self._pool, request, timeout_s=timeout, limit=_LONGEST_HEALTH)
            took = (time.perf_counter() - began) * 1000
            seen = _probe_result(reply, target, self._settings.place.fleet, at, took)
        except FetchError as error:
            seen = ProbeResult(at, ok=False, reason=str(error))
        if seen.alive:
            self._alive_at[target.key] = at
        # A result from the future is older than a clock that was set back, and would hide all later ones.
        known = [one for one in self._results[target.key] if one.at <= at + SKEW_S]
        self._results[target.key] = snapshots.keep(known, (seen,))

    def verdicts(self) -> dict[str, bool | None]:
        """The verdict of this checker alone on each target."""
        return {key: snapshots.verdict(seen, DEFAULT) for key, seen in self._results.items()}

    async def send_snapshot(self, router: Origin) -> None:
        """Send the snapshot to one router; FetchError when it does not take it."""
        routers = tuple(PublicUrl(one).text for one in self._settings.routers)
        snapshot = Snapshot(self._settings.place.key, self._clock(), self._results, routers)
        body = json.dumps(snapshots.dump(snapshot)).encode()
        signed = signing.sign(
            self._settings.keys,
            "POST",
            _SNAPSHOT_PATH,
            b"",
            body,
            now=self._clock(),
            nonce=self._entropy(16).hex(),
        )
        headers: tuple[Header, ...] = ((b"content-type", b"application/json"), *signed)
        request = FetchRequest(router, "POST", _SNAPSHOT_PATH, headers, body)
        reply = await fetch(self._pool, request, timeout_s=_SEND_TIMEOUT_S, limit=_LONGEST_HEALTH)
        if reply.status != 200:
            raise FetchError(f"status {reply.status}: {reply.body[:200].decode('utf-8', 'replace')}")

    @property
    def settings(self) -> CheckerSettings:
        return self._settings

    def _timeout_s(self, key: str, now: float) -> float:
        check, seen = self._settings.check, self._results[key]
        lately = 0 <= now - self._alive_at.get(key, float("-inf")) < WARM_S
        failed_last = bool(seen) and not seen[-1].alive
        return check.timeout_s if lately or failed_last else check.cold_timeout_s


class _Invocation:
    """One run of a checker."""

    def __init__(self, checker: Checker) -> None:
        self._checker = checker
        self._running: dict[str, asyncio.Task[None]] = {}
        self._verdicts = checker.verdicts()
        self._sends: list[asyncio.Task[None]] = []
        self._sent = 0
        self._failed: dict[str, str] = {}

    async def run(self) -> dict[str, object]:
        check = self._checker.settings.check
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            for number in range(check.probes):
                await asyncio.sleep(max(0.0, began + number * check.apart_s - loop.time()))
                self._round()
            await self._await_probes()
            await asyncio.gather(*self._sends)
            await self._send_all()
        finally:
            for task in [*self._running.values(), *self._sends]:
                task.cancel()
        return {
            "rounds": check.probes,
            "sent": self._sent,
            "failed": [{"router": router, "reason": why} for router, why in self._failed.items()],
            "targets": {key: _verdict_name(up) for key, up in self._checker.verdicts().items()},
        }

    def _round(self) -> None:
        for target in self._checker.settings.targets:
            if target.key not in self._running:
                task = asyncio.create_task(self._checker.probe(target))
                self._running[target.key] = task
                task.add_done_callback(lambda _, key=target.key: self._probed(key))

    def _probed(self, key: str) -> None:
        self._running.pop(key, None)
        verdicts = self._checker.verdicts()
        if verdicts != self._verdicts:
            self._verdicts = verdicts
            self._sends.append(asyncio.create_task(self._send_all()))

    async def _await_probes(self) -> None:
        while self._running:
            await asyncio.wait(self._running.values())
            await asyncio.sleep(0)  # their callbacks remove them

    async def _send_all(self) -> None:
        await asyncio.gather(*(self._send(router) for router in self._checker.settings.routers))

    async def _send(self, router: Origin) -> None:
        try:
            await self._checker.send_snapshot(router)
            self._sent += 1
            self._failed.pop(router.authority, None)
        except FetchError as error:
            self._failed[router.authority] = str(error)


def _probe_result(reply: FetchResponse, target: Target, fleet: str, at: float, took_ms: float) -> ProbeResult:
    if reply.status == 429:  # a target at its limit is not down; its load would overload the others
        return ProbeResult(at, ok=True, reason="busy (status 429)")
    if reply.status != 200:
        return ProbeResult(at, ok=False, reason=f"status {reply.status}")
    try:
        decoded: object = json.loads(reply.body)
    except (ValueError, RecursionError):
        decoded = None
    if not isinstance(decoded, dict):
        return ProbeResult(at, ok=False, reason="its /health is not a JSON object")
    fields = cast("dict[str, object]", decoded)
    if fields.get("status") != "ok":
        return ProbeResult(at, ok=False, reason=f"its status is {str(fields.get('status'))[:40]!r}")
    if other := mismatch(fields, target, fleet):
        return ProbeResult(at, ok=False, reason=other)
    build, inflight = fields.get("build"), fields.get("inflight")
    return ProbeResult(
        at,
        ok=True,
        cold=fields.get("cold") is True,
        latency_ms=took_ms,
        build=build if isinstance(build, str) else "",
        inflight=inflight if type(inflight) is int and 0 <= inflight < MOST_NUMBER else -1,
    )


def _verdict_name(up: bool | None) -> str:
    return "undecided" if up is None else "up" if up else "down"
