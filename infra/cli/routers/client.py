"""Talk to the routers: which of them answer, what they say, and one call of the agent."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from infra.cli import json_access
from infra.cli.errors import NoRouterAnswered
from infra.cli.http import session
from infra.cli.json_access import JsonObject

if TYPE_CHECKING:
    import requests

# A cold router in the emulated clouds answers within a second, one in a real cloud within two or three.
HEALTH_S = 4.0
# An agent is asked for its build only: one that keeps silent is not waited for, its state says enough.
BUILD_S = 1.5
# An agent with a model behind it may think for long before its first byte.
CALL_S = 120.0


@dataclass(frozen=True, slots=True)
class RouterAnswer:
    """One router asked: its health, or why it did not answer; the status it gave and how it chooses, if it
    was asked for them."""

    url: str
    health: JsonObject | None
    problem: str = ""
    status: JsonObject = field(default_factory=JsonObject)
    strategy: str = ""

    def as_json(self, place: str = "") -> JsonObject:
        """place: `cloud/region` by the stack's outputs, for one that does not say it."""
        if self.health is None:
            cloud, _, region = place.partition("/")
            known = {"cloud": cloud, "region": region} if place else {}
            return {"url": self.url, "ok": False, "reason": self.problem, **known}
        told = {key: self.health.get(key) for key in ("cloud", "region", "build")}
        strategy = {"strategy": self.strategy} if self.strategy else {}
        kept = {key: self.status[key] for key in ("store", "rejected") if self.status.get(key)}
        if "rejected" in kept:
            seen = json_access.objects(self.status.get("checkers"))
            kept["views"] = [json_access.string(checker.get("checker")) for checker in seen]
        return {"url": self.url, "ok": True, **told, **strategy, **kept}


def get_health(url: str, path: str = "/health", *, seconds: float = HEALTH_S) -> RouterAnswer:
    """One function's health; never raises: silence is an answer too."""
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
    """The health of each router and, if it answers, its status; all at once, in the order of `urls`."""
    if not urls:
        return []
    with ThreadPoolExecutor(len(urls)) as pool:
        return list(pool.map(partial(_get_status, api_key=api_key), urls))


def get_builds(urls: Sequence[str]) -> list[JsonObject]:
    """Which build each agent runs right now: cloud, region and build of those that answer."""
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
    # First how it chooses: for that an instance that slept through an order looks at what is kept.
    control = _get(f"{url}/api/control", api_key)
    status = _get(f"{url}/api/status", api_key)
    strategy = json_access.string(control.get("effective")) or json_access.string(
        json_access.as_object(status.get("router")).get("strategy")
    )
    return replace(answer, status=status, strategy=strategy)


def _get(url: str, api_key: str) -> JsonObject:
    """What a router says of itself; empty when it does not."""
    import requests

    with session(url) as http:
        try:
            reply = http.get(url, headers=auth_header(api_key), timeout=HEALTH_S)
        except requests.RequestException:
            return {}
    return json_access.as_object(json_access.parse(reply.text)) if reply.status_code == 200 else {}


def was_not_sent(error: requests.RequestException) -> bool:
    """Whether a call failed before any of it reached the other side."""
    import requests
    from urllib3.exceptions import NewConnectionError

    cause = error.args[0] if error.args else None
    return isinstance(error, requests.ConnectTimeout) or isinstance(
        getattr(cause, "reason", None), NewConnectionError
    )


def auth_header(api_key: str) -> dict[str, str]:
    """The header of a caller with a key; nothing on an open stack."""
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
    """POST to the first router that is alive: its URL, its streaming reply, and why earlier ones were
    passed over.

    Each router is asked for its health first, so a call is sent only to one that answers. A call that was
    refused goes to the next; one that may have run is not sent a second time. mend: the command to name when
    none answers.
    """
    import requests

    passed: list[str] = []
    for url in urls:
        answer = get_health(url)
        if answer.health is None:
            passed.append(f"{url}: {answer.problem}")
            continue
        with session(url) as http:
            try:
                reply = http.post(
                    f"{url}{path}", json=dict(body), headers=dict(headers), timeout=CALL_S, stream=True
                )
            except requests.RequestException as error:
                if was_not_sent(error):
                    passed.append(f"{url}: {type(error).__name__}")
                    continue
                raise NoRouterAnswered(
                    f"{url} took the call and did not answer ({type(error).__name__}); it may have run, so "
                    "it is not sent again. `skyfleet logs` shows what happened."
                ) from None
            with reply:
                yield url, reply, passed
            return
    lines = "\n".join(f"  {line}" for line in passed) or "  the stack has no router"
    raise NoRouterAnswered(
        f"no router answered:\n{lines}\nSee `skyfleet status` and `skyfleet logs`; `{repair}` mends it."
    )
