"""The sky's admin API: what `skyfleet` asks the daemon on loopback, with the token from sky.json.

    GET /v1/health                                        {"status": "ok"}
    GET /v1/world                                         functions, instances, schedules, faults
    POST /v1/faults {"cloud", "fault", "scope"}           inject; scope is `agents` unless told otherwise
    DELETE /v1/faults?cloud=aws                           heal
    PUT /v1/settings {"minute_s": 5.0}                    length of an emulated minute
    POST /v1/schedules/run {"cloud"}                      fire now, answer when done
Mistakes are 400 with {"error": {"code", "message"}}.
"""

from __future__ import annotations

import hmac
import math
from collections.abc import Awaitable, Callable, Mapping
from typing import cast

from aiohttp import web

from infra.local.hosts import describe, faults
from infra.local.hosts.errors import RequestError
from infra.local.hosts.faults import Injected
from infra.local.hosts.listener import Listener
from infra.local.hosts.sky import Sky

Json = Mapping[str, object]
Call = Callable[[web.BaseRequest, Sky], Awaitable[Json]]

SHORTEST_MINUTE_S, LONGEST_MINUTE_S = 0.05, 3600.0


async def _body(request: web.BaseRequest) -> Json:
    try:
        found: object = await request.json()
    except ValueError:
        raise RequestError("the body is not JSON") from None
    if not isinstance(found, dict):
        raise RequestError("the body is not a JSON object")
    return cast(Json, found)


def _text(body: Json, key: str, default: str = "") -> str:
    value = body.get(key, default)
    if not isinstance(value, str):
        raise RequestError(f"{key!r} must be a string, got {type(value).__name__}")
    return value


async def _health(_: web.BaseRequest, sky: Sky) -> Json:
    return {"status": "ok", "functions": len(sky.hosts)}


async def _world(_: web.BaseRequest, sky: Sky) -> Json:
    return describe.world(sky)


async def _inject(request: web.BaseRequest, sky: Sky) -> Json:
    body = await _body(request)
    new = Injected(
        faults.parse_cloud(_text(body, "cloud")),
        faults.parse_scope(_text(body, "scope", "agents")),
        faults.parse(_text(body, "fault")),
    )
    await sky.set_faults(faults.inject(sky.board.current, new))
    return {"faults": describe.world(sky)["faults"]}


async def _heal(request: web.BaseRequest, sky: Sky) -> Json:
    cloud = faults.parse_cloud(request.query.get("cloud", ""))
    await sky.set_faults(faults.heal(sky.board.current, cloud))
    return {"faults": describe.world(sky)["faults"]}


async def _settings(request: web.BaseRequest, sky: Sky) -> Json:
    body = await _body(request)
    unknown = set(body) - {"minute_s"}
    if unknown:
        raise RequestError(f"unknown settings: {', '.join(sorted(unknown))}; there is minute_s")
    minute = body.get("minute_s", sky.schedules.minute_s)
    if isinstance(minute, bool) or not isinstance(minute, int | float) or not math.isfinite(minute):
        raise RequestError(f"minute_s must be a number of seconds, got {minute!r}")
    if not SHORTEST_MINUTE_S <= minute <= LONGEST_MINUTE_S:
        raise RequestError(
            f"minute_s must lie in {SHORTEST_MINUTE_S:g} to {LONGEST_MINUTE_S:g}, got {minute:g}"
        )
    if minute != sky.schedules.minute_s:
        sky.set_minute(float(minute))
    return {"minute_s": sky.schedules.minute_s}


async def _run(request: web.BaseRequest, sky: Sky) -> Json:
    cloud = faults.parse_cloud(_text(await _body(request), "cloud"))
    runs = await sky.schedules.run_now(cloud)
    return {"schedules": [describe.run(sky, each) for each in runs]}


ROUTES: dict[tuple[str, str], Call] = {
    ("GET", "/v1/health"): _health,
    ("GET", "/v1/world"): _world,
    ("POST", "/v1/faults"): _inject,
    ("DELETE", "/v1/faults"): _heal,
    ("PUT", "/v1/settings"): _settings,
    ("POST", "/v1/schedules/run"): _run,
}


class Admin:
    """Serves the API for one sky."""

    def __init__(self, port: int, token: str, sky: Sky) -> None:
        self._token = token
        self._sky = sky
        self._listener = Listener(port, "the sky's admin API", self._answer)
        self.address = f"http://127.0.0.1:{port}"

    async def open(self) -> None:
        """Listen. Raises PortTaken."""
        await self._listener.open()

    async def close(self) -> None:
        """Stop."""
        await self._listener.close()

    async def _answer(self, request: web.BaseRequest) -> web.Response:
        given = request.headers.get("authorization", "").removeprefix("Bearer ")
        if not hmac.compare_digest(given.encode(), self._token.encode()):
            return _error(
                401, "unauthorized", "send `authorization: Bearer TOKEN` with the token of sky.json"
            )
        call = ROUTES.get((request.method, request.path))
        if call is None:
            known = ", ".join(f"{method} {path}" for method, path in ROUTES)
            return _error(404, "unknown-path", f"no {request.method} {request.path}; there is {known}")
        try:
            return web.json_response(await call(request, self._sky))
        except RequestError as error:
            return _error(400, "bad-request", str(error))


def _error(status: int, code: str, message: str) -> web.Response:
    return web.json_response({"error": {"code": code, "message": message}}, status=status)
