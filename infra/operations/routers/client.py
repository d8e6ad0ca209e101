"""Requests to the routers of a stack: health, status, and one call of the agent."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from infra.operations import json_access
from infra.operations.errors import NoRouterAnswered
from infra.operations.http import session
from infra.operations.json_access import JsonObject

if TYPE_CHECKING:
    import requests

# A cold router answers within a second on the emulator, within two or three in a real cloud.
HEALTH_S = 4.0
# Agents are asked for their build only, so a slow one is not waited for.
BUILD_S = 1.5
# An agent with a model may take long until its first byte.
CALL_S = 120.0


@dataclass(frozen=True, slots=True)
class RouterAnswer:
    """What one router answered.

    health: None with a `problem` when it did not answer. status, strategy: empty if they were not asked for.
    draining: the keys of its draining targets; None if they are not known.
    """

    url: str
    health: JsonObject | None
    problem: str = ""
    status: JsonObject = field(default_factory=JsonObject)
    strategy: str = ""
    draining: tuple[str, ...] | None = None

    def as_json(self, place: str = "") -> JsonObject:
        """The entry of this router in the status. place: its `cloud/region` in the outputs of the stack."""
        if self.health is None:
            cloud, _, region = place.partition("/")
            known = {"cloud": cloud, "region": region} if place else {}
            return {"url": self.url, "ok": False, "reason": self.problem, **known}
        identity = {key: self.health.get(key) for key in ("cloud", "region", "build")}
        set_here: JsonObject = {"strategy": self.strategy} if self.strategy else {}
        if self.draining is not None:
            set_here["draining"] = list(self.draining)
        kept = {key: self.status[key] for key in ("store", "rejected") if self.status.get(key)}
        if "rejected" in kept:
            checkers = json_access.objects(self.status.get("checkers"))
            kept["views"] = [json_access.string(checker.get("checker")) for checker in checkers]
        return {"url": self.url, "ok": True, **identity, **set_here, **kept}


def get_health(url: str, path: str = "/health", *, seconds: float = HEALTH_S) -> RouterAnswer:
    """The health of one function; a failure is a `problem` of the answer. seconds: the timeout."""
    import requests

    with session(url) as http:
        try:
            reply = http.get(f"{url}{path}", timeout=seconds)
        except requests.Timeout:
            return RouterAnswer(url, None, f"no answer within {seconds:g} s")
        except requests.ConnectionError:
            return RouterAnswer(url, None, "connection refused or cut")
        except requests.RequestException as error:
            return RouterAnswer(url, None, type(error).__name__)
    health = json_access.as_object(json_access.parse(reply.text))
    if reply.status_code != 200 or not health:
        return RouterAnswer(url, None, f"HTTP {reply.status_code}: {reply.text.strip()[:80] or 'no body'}")
    return RouterAnswer(url, health)


def get_statuses(urls: Sequence[str], api_key: str) -> list[RouterAnswer]:
    """The health and the status of each router, asked in parallel, in the order of `urls`."""
    if not urls:
        return []
    with ThreadPoolExecutor(len(urls)) as pool:
        return list(pool.map(partial(_get_status, api_key=api_key), urls))


def get_builds(urls: Sequence[str]) -> list[JsonObject]:
    """Cloud, region and running build of the agents that answer."""
    if not urls:
        return []
    with ThreadPoolExecutor(len(urls)) as pool:
        answers = list(pool.map(partial(get_health, seconds=BUILD_S), urls))
    return [
        {key: json_access.string(health.get(key)) for key in ("cloud", "region", "build")}
        for answer in answers
        if (health := answer.health) is not None
    ]


def _get_status(url: str, *, api_key: str) -> RouterAnswer:
    answer = get_health(url)
    if answer.health is None:
        return answer
    # The control document first: an instance reads its bucket for it, so the status is up to date.
    control = _get(f"{url}/api/control", api_key)
    status = _get(f"{url}/api/status", api_key)
    strategy = json_access.string(control.get("effective")) or json_access.string(
        json_access.as_object(status.get("router")).get("strategy")
    )
    draining = control.get("draining")
    keys = None if draining is None else tuple(json_access.strings(draining))
    return replace(answer, status=status, strategy=strategy, draining=keys)


def _get(url: str, api_key: str) -> JsonObject:
    """A JSON object of a router; empty when there is none."""
    import requests

    with session(url) as http:
        try:
            reply = http.get(url, headers=auth_header(api_key), timeout=HEALTH_S)
        except requests.RequestException:
            return {}
    return json_access.as_object(json_access.parse(reply.text)) if reply.status_code == 200 else {}


def was_not_sent(error: requests.RequestException) -> bool:
    """Whether a request failed before any of it was sent."""
    import requests
    from urllib3.exceptions import NewConnectionError

    cause = error.args[0] if error.args else None
    return isinstance(error, requests.ConnectTimeout) or isinstance(
        getattr(cause, "reason", None), NewConnectionError
    )


def auth_header(api_key: str) -> dict[str, str]:
    """The header with the API key; empty on an open stack."""
    return {"authorization": f"Bearer {api_key}"} if api_key else {}


@contextmanager
def call_first(
    urls: Sequence[str],
    path: str,
    body: Mapping[str, object],
    headers: Mapping[str, str],
    *,
    repair: str = "make up",
) -> Generator[tuple[str, requests.Response, list[str]]]:
    """POST to the first router that answers: its URL, the streamed reply, and why others were skipped.

    Each router is asked for its health first. A request that was not sent goes to the next router; a request
    that may have run is not repeated. repair: the command that an error names. Raises NoRouterAnswered.
    """
    import requests

    skipped: list[str] = []
    for url in urls:
        answer = get_health(url)
        if answer.health is None:
            skipped.append(f"{url}: {answer.problem}")
            continue
        with session(url) as http:
            try:
                reply = http.post(
                    f"{url}{path}", json=dict(body), headers=dict(headers), timeout=CALL_S, stream=True
                )
            except requests.RequestException as error:
                if was_not_sent(error):
                    skipped.append(f"{url}: {type(error).__name__}")
                    continue
                raise NoRouterAnswered(
                    f"{url} got the request and did not answer ({type(error).__name__}). It may have run, so "
                    "it is not sent again. `skyfleet logs` shows what happened."
                ) from None
            with reply:
                yield url, reply, skipped
            return
    lines = "\n".join(f"  {line}" for line in skipped) or "  the stack has no router"
    raise NoRouterAnswered(
        f"no router answered:\n{lines}\nSee `skyfleet status` and `skyfleet logs`; `{repair}` repairs it."
    )
