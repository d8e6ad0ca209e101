"""Dialogs and what a confirmed one does, as Starlette routes.

A form is answered with another content of the dialog, or with 204 and the event `done`, at which the page
closes it. An error is a sentence in the dialog, with its HTTP status. Reading a dialog needs no more than a
viewer; an action needs an operator. Jobs and the fleet check what they are asked for; here only the form is
read.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal
from urllib.parse import parse_qsl

from htpy import Node, fragment
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Route

from infra.manager.access.gate import Principal
from infra.manager.access.tokens import LOCAL, Role
from infra.manager.bodies import content
from infra.manager.errors import (
    BadRequest,
    Conflict,
    Forbidden,
    ManagerError,
    NotFound,
    Unavailable,
)
from infra.manager.fleet.picture import Picture, TargetView
from infra.manager.jobs.model import Change, Job
from infra.manager.page import dialogs, jobs, words
from infra.manager.services import Fleet, Jobs
from infra.operations import json_access

MAX_FIELDS = 30
NO_STORE = {"cache-control": "no-store"}
# After these another try may help: with other values, or with a look at what has changed.
AGAIN = (BadRequest, Conflict, Unavailable)
NUMBERS = ("weight", "minInstances", "maxInstances", "memoryMb", "concurrency")


Fields = Mapping[str, str]


def principal(request: Request) -> Principal:
    """The operator of a request, as the gate has found it out; "local" where there is no gate."""
    return getattr(request.state, "principal", None) or Principal(LOCAL, Role.OPERATOR)


@dataclass(frozen=True, slots=True)
class Actions:
    """Handlers of dialogs and forms."""

    fleet: Fleet
    jobs: Jobs

    def routes(self) -> Sequence[BaseRoute]:
        """The routes of all dialogs and actions."""
        return [
            Route("/dialog/{name}", self.dialog),
            Route("/action/{name}", self.action, methods=["POST"]),
        ]

    async def dialog(self, request: Request) -> Response:
        """The content of a dialog for the present picture."""
        name, asked = request.path_params["name"], dict(request.query_params)
        try:
            if name == "plan":
                return self._plan(asked)
            return _html(self._dialog(name, asked))
        except ManagerError as error:
            return _html(dialogs.refused("That is not possible", error.detail), status=error.status)

    def _dialog(self, name: str, asked: Fields) -> Node:
        if name == "cancel":
            return dialogs.cancel(self.jobs.get(asked.get("job", "")))
        picture = self.fleet.picture()
        if name == "add":
            return dialogs.add(picture, asked)
        if name == "strategy":
            return dialogs.strategy(picture)
        of_target = {
            "weight": dialogs.weight,
            "drain": dialogs.drain,
            "undrain": dialogs.undrain,
            "remove": dialogs.remove,
        }
        if name not in of_target:
            raise NotFound(f"There is no dialog {name!r}.")
        return of_target[name](_target(picture, asked.get("target", "")), picture, asked)

    def _plan(self, asked: Fields) -> Response:
        job = self.jobs.get(asked.get("job", ""))
        fields = {name: value for name, value in asked.items() if name != "job"}
        if not job.is_final:
            return _html(dialogs.poll(job, fields))
        # The element that asked is a part of the dialog; the answer replaces all of it.
        return _html(dialogs.planned(job, fields), {"hx-retarget": "#dialog-body", "hx-reswap": "innerHTML"})

    async def action(self, request: Request) -> Response:
        """Do what a confirmed dialog says."""
        handlers: Mapping[str, Callable[[Fields, str], Awaitable[Response]]] = {
            "weight": self._weight,
            "drain": self._drain,
            "strategy": self._strategy,
            "plan": self._preview,
            "change": self._change,
            "cancel": self._cancel,
        }
        name, form = request.path_params["name"], dict[str, str]()
        try:
            operator = principal(request)
            if operator.role is not Role.OPERATOR:
                raise Forbidden("Your token has the role viewer. A change needs the role operator.")
            if (handler := handlers.get(name)) is None:
                raise NotFound(f"There is no action {name!r}.")
            form.update(await _form(request))
            return await handler(form, operator.name)
        except ManagerError as error:
            back = dialogs.form_of(name, form) if isinstance(error, AGAIN) else ""
            refused = dialogs.refused(
                f"{error.title}: nothing was changed",
                error.detail,
                back,
                json_access.strings(error.extra.get("mistakes")),
            )
            return _html(refused, status=error.status)

    async def _weight(self, form: Fields, by: str) -> Response:
        if "weight" not in form:
            raise BadRequest("Enter the new weight: a number from 0.")
        return _queued(await self.jobs.submit(_change("weight", form), by))

    async def _change(self, form: Fields, by: str) -> Response:
        return _queued(await self.jobs.submit(_change(_action(form), form), by))

    async def _preview(self, form: Fields, by: str) -> Response:
        job = await self.jobs.submit(_change(_action(form), form, preview=True), by)
        return _html(dialogs.waiting(job, form))

    async def _drain(self, form: Fields, _by: str) -> Response:
        target, undo = form.get("target", ""), bool(form.get("undo"))
        said = await self.fleet.drain(target, undo=undo, force=bool(form.get("force")))
        return _done(_of_routers(said))

    async def _strategy(self, form: Fields, _by: str) -> Response:
        said = await self.fleet.set_strategy(form.get("name", ""))
        return _done(_of_routers(said))

    async def _cancel(self, form: Fields, by: str) -> Response:
        job = await self.jobs.cancel(form.get("job", ""), by)
        return _done(f"Cancelled: {jobs.title(job.change)}.")


async def _form(request: Request) -> Fields:
    """The fields of a form that are not empty. Raises TooLarge, SlowRequest, BadRequest."""
    body = await content(request)
    try:
        return dict(parse_qsl(body.decode(), strict_parsing=bool(body), max_num_fields=MAX_FIELDS))
    except ValueError as error:
        raise BadRequest(f"The form cannot be read: {error}.") from None


def _change(action: Literal["create", "delete", "weight"], form: Fields, *, preview: bool = False) -> Change:
    cloud, _, region = form.get("target", "").partition("/")
    if not cloud or not region:
        raise BadRequest("Choose a region: `cloud/region`.")
    return Change(
        action=action,
        cloud=cloud,
        region=region,
        options={}
        if action == "delete"
        else {name: _number(name, form[name]) for name in NUMBERS if name in form},
        force=bool(form.get("force")),
        version=form.get("version", ""),
        preview=preview,
    )


def _action(form: Fields) -> Literal["create", "delete"]:
    if form.get("action") == "create":
        return "create"
    if form.get("action") == "delete":
        return "delete"
    raise BadRequest("The form does not say whether to create or to delete.")


def _number(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise BadRequest(f"The value of {name} has to be a number, not {text[:40]!r}.") from None


def _target(picture: Picture, key: str) -> TargetView:
    found = next((each for each in picture.targets if each.key == key), None)
    if found is None:
        raise NotFound(f"There is no target {key!r} any more.")
    return found


def _of_routers(said: Sequence[str]) -> str:
    return f"Routers: {' '.join(words.sentence(each) for each in said)}"


def _queued(job: Job) -> Response:
    return _done(f"Queued: {jobs.title(job.change)}. Progress is under Jobs.")


def _done(text: str) -> Response:
    """Nothing to swap; the page closes the dialog and says `text`."""
    return Response(status_code=204, headers={**NO_STORE, "hx-trigger": json.dumps({"done": {"text": text}})})


def _html(content: Node, headers: Mapping[str, str] | None = None, *, status: int = 200) -> Response:
    """A content of the dialog; htmx shows that of an error too, and the audit log has its status."""
    return HTMLResponse(str(fragment[content]), status, {**NO_STORE, **(headers or {})})
