"""Read the control document of every router of a stack, or change it.

Rules
- Each router keeps its control document in the bucket of its own cloud, so each router gets the update. The
  other instances of a router follow with their next request. A router that is out of reach keeps its
  document, and the command says so.
- The routers are asked in parallel, each for its health first. So a dead router is known after `HEALTH_S`
  and gets no update that it could apply later, and a cold one has started before its bucket is read.
- Draining is changed in two steps: the document is read, and the update names the revision that was read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from infra.operations import json_access
from infra.operations.http import session
from infra.operations.json_access import JsonObject
from infra.operations.routers.client import auth_header, get_health
from infra.operations.stack.outputs import Outputs

# A router waits for its bucket for three seconds.
CONTROL_S = 4.0
PATH = "/api/control"
# The name that restores the configured strategy.
CONFIGURED = "configured"


@dataclass(frozen=True, slots=True)
class ControlAnswer:
    """The control document of one router; `problem` says why there is none. place: `cloud/region`, if
    known."""

    url: str
    control: JsonObject
    problem: str = ""
    place: str = ""

    @property
    def name(self) -> str:
        """`cloud/region` of the router, or its URL."""
        return self.place or self.url

    @property
    def draining(self) -> tuple[str, ...]:
        """Keys of the targets that drain."""
        return tuple(json_access.strings(self.control.get("draining")))

    @property
    def as_json(self) -> JsonObject:
        """The entry of this router in the output of --json."""
        cloud, _, region = self.place.partition("/")
        where = {"cloud": cloud, "region": region} if self.place else {}
        return {
            "router": self.url,
            **where,
            **self.control,
            **({"problem": self.problem} if self.problem else {}),
        }


def read_all(outputs: Outputs) -> list[ControlAnswer]:
    """The control document of each router, in the order of the outputs."""
    return _each(outputs.router_urls, partial(_ask, outputs=outputs, update=None))


def set_strategy(outputs: Outputs, name: str) -> list[ControlAnswer]:
    """Have each router pick by this strategy, or as configured."""
    update: JsonObject = {"strategy": None if name == CONFIGURED else name}
    return _each(outputs.router_urls, partial(_ask, outputs=outputs, update=update))


def set_draining(
    outputs: Outputs,
    before: Sequence[ControlAnswer],
    desired: Callable[[ControlAnswer], tuple[str, ...] | None],
) -> list[ControlAnswer]:
    """Have each router of `before` drain the targets `desired(answer)`, and no others.

    desired: None leaves a router as it is, and so does a problem in its answer.
    """
    known = {answer.url: answer for answer in before}

    def one(url: str) -> ControlAnswer:
        answer = known[url]
        keys = None if answer.problem else desired(answer)
        if keys is None:
            return answer
        update: JsonObject = {"draining": list(keys), "revision": answer.control.get("revision")}
        return _request(url, answer.place, outputs.api_key, update)

    return _each(list(known), one)


def sentence(answer: ControlAnswer) -> str:
    """The strategy of one router in one line."""
    if answer.problem:
        return f"{answer.name}: {answer.problem}"
    control = answer.control
    effective = json_access.string(control.get("effective"))
    configured = json_access.string(control.get("configured"))
    origin = "as configured" if control.get("strategy") is None else f"changed; configured: {configured}"
    return f"{answer.name}: {effective} ({origin}{validity(answer)})"


def validity(answer: ControlAnswer) -> str:
    """A part of a line: that the document ends with the instance, or that the bucket could not be read."""
    control = answer.control
    temporary = control.get("kept") == "instance" and control.get("revision")
    unread = f"; the bucket cannot be read: {control['unread']}" if control.get("unread") else ""
    return f"{', until this instance ends' if temporary else ''}{unread}"


def differences(answers: Sequence[ControlAnswer]) -> str:
    """A line that says how the strategies of the routers differ; empty when they agree."""
    return strategy_differences(
        {one.name: json_access.string(one.control.get("effective")) for one in answers if not one.problem}
    )


def strategy_differences(strategies: Mapping[str, str]) -> str:
    """A line that says how the routers differ; empty when they agree. strategies: by name of the router."""
    if len(set(strategies.values())) < 2:
        return ""
    parts = ", ".join(f"{name} uses {strategy}" for name, strategy in strategies.items())
    return f"The routers differ: {parts}. `skyfleet strategy NAME` sets it at all of them."


def _each(urls: Sequence[str], one: Callable[[str], ControlAnswer]) -> list[ControlAnswer]:
    if not urls:
        return []
    with ThreadPoolExecutor(len(urls)) as pool:
        return list(pool.map(one, urls))


def _ask(url: str, *, outputs: Outputs, update: Mapping[str, object] | None) -> ControlAnswer:
    health = get_health(url)
    place = json_access.place(health.health or {}) or outputs.router_places.get(url, "")
    if health.health is None:
        return ControlAnswer(url, {}, health.problem, place)
    return _request(url, place, outputs.api_key, update)


def _request(url: str, place: str, api_key: str, update: Mapping[str, object] | None) -> ControlAnswer:
    """Read the document of a router, or apply an update to it."""
    import requests

    with session(url) as http:
        try:
            reply = http.request(
                "GET" if update is None else "PUT",
                f"{url}{PATH}",
                json=None if update is None else dict(update),
                headers=auth_header(api_key),
                timeout=CONTROL_S,
            )
        except requests.RequestException as error:
            applied = "" if update is None else "; it may have applied the update"
            return ControlAnswer(url, {}, f"no answer ({type(error).__name__}){applied}", place)
    control = json_access.as_object(json_access.parse(reply.text))
    if reply.status_code != 200 or "effective" not in control:
        error = json_access.as_object(control.get("error"))
        message = json_access.string(error.get("message"), reply.text.strip()[:80])
        return ControlAnswer(url, {}, f"HTTP {reply.status_code}: {message or 'no body'}", place)
    return ControlAnswer(url, control, place=place)
