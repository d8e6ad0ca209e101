"""The emulator's admin API for the command line: on loopback, with the token from emulator.json.

    GET /v1/health                                        {"status": "ok"}
    GET /v1/status                                        functions, instances, schedules, faults
    POST /v1/faults {"cloud", "fault", "scope"}           inject; the default scope is `agents`
    DELETE /v1/faults?cloud=aws                           heal
    PUT /v1/settings {"minute_s": 5.0, "delays": 0.02}    length of an emulated minute; factor from a real
                                                          cloud's delays to emulated ones (0 to 1)
    GET /v1/leftovers                                     what the clouds keep of deleted resources
    PUT /v1/outages {"cloud", "status", "seconds"}        the cloud's management API answers so (0 s: ends it)
    POST /v1/drift {"cloud", "id", "delete" or "set"}     change or delete a resource by hand
    POST /v1/schedules/run {"cloud"}                      run now, answer after the last run
Invalid requests are answered 400 with {"error": {"code", "message"}}.
"""

from __future__ import annotations

import asyncio
import hmac
import math
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import cast

from aiohttp import web

from emulator.delays import MOST
from emulator.errors import CloudError
from emulator.providers import drift
from emulator.providers.operations import Operations
from emulator.providers.outages import LONGEST_S as LONGEST_OUTAGE_S
from emulator.providers.outages import STATUSES
from emulator.runtime import describe, faults
from emulator.runtime.errors import RequestError
from emulator.runtime.faults import Injected
from emulator.runtime.ingress.listener import Listener
from emulator.runtime.reconciler import Reconciler

Json = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Clouds:
    """What the API acts on: the running functions and the resources."""

    emulator: Reconciler
    operations: Operations


Call = Callable[[web.BaseRequest, Clouds], Awaitable[Json]]

SHORTEST_MINUTE_S, LONGEST_MINUTE_S = 0.05, 3600.0


async def _body(request: web.BaseRequest) -> Json:
    try:
        found: object = await request.json()
    except ValueError:
        raise RequestError("the body is not JSON") from None
    if not isinstance(found, dict):
        raise RequestError("the body is not a JSON object")
    return cast("Json", found)


def _text(body: Json, key: str, default: str = "") -> str:
    value = body.get(key, default)
    if not isinstance(value, str):
        raise RequestError(f"{key!r} must be a string, got {type(value).__name__}")
    return value


def _number(body: Json, key: str, default: float, least: float, most: float) -> float:
    value = body.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise RequestError(f"{key} must be a number, got {value!r}")
    if not least <= value <= most:
        raise RequestError(f"{key} must lie in {least:g} to {most:g}, got {value:g}")
    return float(value)


async def _health(_: web.BaseRequest, clouds: Clouds) -> Json:
    emulator = clouds.emulator
    return {"status": "ok", "functions": len(emulator.hosts)}


async def _status(_: web.BaseRequest, clouds: Clouds) -> Json:
    return _status_of(clouds)


def _status_of(clouds: Clouds) -> describe.Json:
    """The running state, with outages of management APIs among the faults."""
    found = describe.status(clouds.emulator)
    for cloud, outage in clouds.operations.outages.report(time.time()).items():
        found["faults"].append({"cloud": cloud, "scope": "api", "fault": f"api:{outage['status']:g}"})
    return found


async def _inject(request: web.BaseRequest, clouds: Clouds) -> Json:
    body, emulator = await _body(request), clouds.emulator
    new = Injected(
        faults.parse_cloud(_text(body, "cloud")),
        faults.parse_scope(_text(body, "scope", "agents")),
        faults.parse(_text(body, "fault")),
    )
    await emulator.set_faults(faults.inject(emulator.active_faults.current, new))
    return {"faults": _status_of(clouds)["faults"]}


async def _heal(request: web.BaseRequest, clouds: Clouds) -> Json:
    emulator = clouds.emulator
    cloud = faults.parse_cloud(request.query.get("cloud", ""))
    await emulator.set_faults(faults.heal(emulator.active_faults.current, cloud))
    clouds.operations.outages.end(cloud)
    return {"faults": _status_of(clouds)["faults"]}


async def _settings(request: web.BaseRequest, clouds: Clouds) -> Json:
    body, emulator = await _body(request), clouds.emulator
    unknown = set(body) - {"minute_s", "delays"}
    if unknown:
        raise RequestError(f"unknown settings: {', '.join(sorted(unknown))}; there are minute_s and delays")
    minute = _number(body, "minute_s", emulator.schedules.minute_s, SHORTEST_MINUTE_S, LONGEST_MINUTE_S)
    factor = _number(body, "delays", emulator.delays.factor, 0, MOST)
    if minute != emulator.schedules.minute_s:
        emulator.set_minute(minute)
    if factor != emulator.delays.factor:
        emulator.set_delays(factor)
    return {"minute_s": emulator.schedules.minute_s, "delays": emulator.delays.factor}


async def _leftovers(_: web.BaseRequest, clouds: Clouds) -> Json:
    return {
        "leftovers": clouds.operations.remaining(),
        "deployed": [resource.key for resource in clouds.operations.resources.values() if resource.urn],
    }


async def _weather(request: web.BaseRequest, clouds: Clouds) -> Json:
    body, outages, now = await _body(request), clouds.operations.outages, time.time()
    cloud = faults.parse_cloud(_text(body, "cloud"))
    seconds = _number(body, "seconds", 0, 0, LONGEST_OUTAGE_S)
    status = int(_number(body, "status", 503, 0, 999))
    if status not in STATUSES:
        known = ", ".join(map(str, STATUSES))
        raise RequestError(f"status must be one of {known}, got {status}")
    if seconds:
        outages.begin(cloud, status, now + seconds)
    else:
        outages.end(cloud)
    return {"faults": _status_of(clouds)["faults"]}


async def _drift(request: web.BaseRequest, clouds: Clouds) -> Json:
    body = await _body(request)
    cloud, wanted, given = faults.parse_cloud(_text(body, "cloud")), _text(body, "id"), body.get("set")
    change = cast("Json", given) if isinstance(given, dict) else None
    if (change is None) == (body.get("delete") is not True):
        raise RequestError('say either "delete": true or "set": {property: value}')
    found = await asyncio.to_thread(drift.drift, clouds.operations, cloud, wanted, change)
    return {"changed" if change is not None else "deleted": found}


async def _run(request: web.BaseRequest, clouds: Clouds) -> Json:
    emulator = clouds.emulator
    cloud = faults.parse_cloud(_text(await _body(request), "cloud"))
    runs = await emulator.schedules.run_now(cloud)
    return {"schedules": [describe.run(emulator, each) for each in runs]}


ROUTES: dict[tuple[str, str], Call] = {
    ("GET", "/v1/health"): _health,
    ("GET", "/v1/status"): _status,
    ("POST", "/v1/faults"): _inject,
    ("DELETE", "/v1/faults"): _heal,
    ("PUT", "/v1/settings"): _settings,
    ("GET", "/v1/leftovers"): _leftovers,
    ("PUT", "/v1/outages"): _weather,
    ("POST", "/v1/drift"): _drift,
    ("POST", "/v1/schedules/run"): _run,
}


class Admin:
    """Serves the admin API."""

    def __init__(self, port: int, token: str, emulator: Reconciler, operations: Operations) -> None:
        self._token = token
        self._clouds = Clouds(emulator, operations)
        self._listener = Listener(port, "the emulator's admin API", self._answer)
        self.address = f"http://127.0.0.1:{port}"

    async def open(self) -> None:
        """Listen. Raises PortTaken."""
        await self._listener.open()

    async def close(self) -> None:
        """Stop listening."""
        await self._listener.close()

    async def _answer(self, request: web.BaseRequest) -> web.Response:
        given = request.headers.get("authorization", "").removeprefix("Bearer ")
        if not hmac.compare_digest(given.encode(), self._token.encode()):
            return _error(
                401, "unauthorized", "send `authorization: Bearer TOKEN` with the token of emulator.json"
            )
        call = ROUTES.get((request.method, request.path))
        if call is None:
            known = ", ".join(f"{method} {path}" for method, path in ROUTES)
            return _error(404, "unknown-path", f"no {request.method} {request.path}; there is {known}")
        try:
            return web.json_response(await call(request, self._clouds))
        except (RequestError, CloudError) as error:
            return _error(400, "bad-request", str(error))


def _error(status: int, code: str, message: str) -> web.Response:
    return web.json_response({"error": {"code": code, "message": message}}, status=status)
