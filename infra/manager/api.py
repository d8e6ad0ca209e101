"""The routes below /api: each turns a request into a call of the services, and the result into JSON."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Final

from pydantic import TypeAdapter
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from infra.manager import bodies
from infra.manager.access.gate import Principal
from infra.manager.errors import BadRequest
from infra.manager.fleet.picture import Picture
from infra.manager.jobs.model import Change, Event, Job
from infra.manager.problem import Json
from infra.manager.services import Fleet, Jobs
from infra.manager.stream import Listeners, ServerEvent
from infra.operations.suggest import suggestion

MOST_JOBS: Final = 200
_JOB: Final = TypeAdapter(Job)
_EVENT: Final = TypeAdapter(Event)
_PICTURE: Final = TypeAdapter(Picture)
STRATEGIES: Final = bodies.STRATEGIES


def routes(fleet: Fleet, jobs: Jobs, listeners: Listeners) -> Sequence[Route]:
    """The routes of the API."""
    api = _Api(fleet, jobs, listeners)
    return [
        Route("/api/create-resource", api.create, methods=["POST"]),
        Route("/api/delete-resource", api.delete, methods=["DELETE"]),
        Route("/api/status", api.status),
        Route("/api/jobs", api.recent),
        Route("/api/jobs/{job}", api.job),
        Route("/api/jobs/{job}/events", api.events),
        Route("/api/jobs/{job}/cancel", api.cancel, methods=["POST"]),
        Route("/api/strategy", api.strategy, methods=["POST"]),
        Route("/api/drain", api.drain, methods=["POST"]),
    ]


class _Api:
    def __init__(self, fleet: Fleet, jobs: Jobs, listeners: Listeners) -> None:
        self._fleet, self._jobs, self._listeners = fleet, jobs, listeners

    async def create(self, request: Request) -> Response:
        bodies.only_parameters(request, "preview")
        preview = bodies.flag(request, "preview")
        body = await bodies.read(request, bodies.CreateResource)
        return await self._submit(request, body.change(preview=preview))

    async def delete(self, request: Request) -> Response:
        bodies.only_parameters(request, "preview")
        preview = bodies.flag(request, "preview")
        body = await bodies.read(request, bodies.DeleteResource)
        return await self._submit(request, body.change(preview=preview))

    async def _submit(self, request: Request, change: Change) -> Response:
        job = await self._jobs.submit(change, operator(request))
        return Json({"job": job.id}, 202, {"location": f"/api/jobs/{job.id}"})

    async def status(self, _request: Request) -> Response:
        return Json(picture_json(self._fleet.picture()))

    async def recent(self, request: Request) -> Response:
        found = self._jobs.recent(_limit(request))
        return Json({"jobs": [job_json(replace(job, events=())) for job in found]})

    async def job(self, request: Request) -> Response:
        return Json(job_json(self._jobs.get(request.path_params["job"])))

    async def events(self, request: Request) -> Response:
        job, after = self._jobs.get(request.path_params["job"]), _last_event_id(request)
        if job.is_final and after > len(job.events):
            return Response(status_code=204)
        return self._listeners.response(self._progress(job.id, after))

    async def _progress(self, job: str, after: int) -> AsyncIterator[ServerEvent]:
        """The events of a job, and at last `end` with the job itself, under the next number."""
        number = after
        async for event in self._jobs.events(job, after):
            number = event.number
            yield ServerEvent(event.kind, _EVENT.dump_python(event, mode="json"), event.number)
        final = self._jobs.get(job)
        yield ServerEvent("end", job_json(replace(final, events=())), max(number, len(final.events)) + 1)

    async def cancel(self, request: Request) -> Response:
        bodies.only_parameters(request)
        job = await self._jobs.cancel(request.path_params["job"], operator(request))
        return Json(job_json(job), 202)

    async def strategy(self, request: Request) -> Response:
        bodies.only_parameters(request)
        body = await bodies.read(request, bodies.SetStrategy)
        if body.name not in STRATEGIES:
            hint = suggestion(body.name[:60], STRATEGIES)
            raise BadRequest(
                f"name: unknown strategy {body.name[:60]!r}.{hint} Known: {', '.join(STRATEGIES)}.",
                known=list(STRATEGIES),
            )
        return Json({"routers": list(await self._fleet.set_strategy(body.name))})

    async def drain(self, request: Request) -> Response:
        bodies.only_parameters(request)
        body = await bodies.read(request, bodies.DrainTarget)
        said = await self._fleet.drain(body.target, undo=body.undo, force=body.force)
        return Json({"routers": list(said)})


def operator(request: Request) -> str:
    """The name of the operator who sent a request, for the history."""
    principal: Principal = request.state.principal
    return principal.name


def job_json(job: Job) -> object:
    """A job as JSON."""
    return _JOB.dump_python(job, mode="json")


def picture_json(picture: Picture) -> object:
    """A picture as JSON."""
    return _PICTURE.dump_python(picture, mode="json")


def schemas(ref: str) -> dict[str, object]:
    """The JSON schemas of replies, by name. ref: how one refers to another, with {model}."""
    _, shared = TypeAdapter.json_schemas(
        [
            ("Job", "serialization", _JOB),
            ("Picture", "serialization", _PICTURE),
            ("Event", "serialization", _EVENT),
        ],
        ref_template=ref,
    )
    return dict(shared["$defs"])


def _limit(request: Request) -> int:
    bodies.only_parameters(request, "limit")
    values = request.query_params.getlist("limit") or ["50"]
    if len(values) > 1 or not (values[0].isascii() and values[0].isdigit() and len(values[0]) < 5):
        raise BadRequest(
            f"limit: got {', '.join(values)[:60]!r}; expected a number from 1 to {MOST_JOBS}, once."
        )
    if not 1 <= (limit := int(values[0])) <= MOST_JOBS:
        raise BadRequest(f"limit: got {limit}; expected a number from 1 to {MOST_JOBS}.")
    return limit


def _last_event_id(request: Request) -> int:
    text = request.headers.get("last-event-id", "0")
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise BadRequest(f"Last-Event-ID: got {text[:60]!r}; expected the number of an event.")
    return int(text)
