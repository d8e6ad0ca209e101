"""Ask every router of a stack how it chooses, or tell it.

Rules
- Each router keeps its orders in its own cloud's bucket, so each is told; an instance that was not asked
  follows with its next request. A router that is out of reach keeps what it has, which is said and not
  hidden.
- All at once, and first for their health: one that is dead is known after `HEALTH_S` and gets no order that
  it might take later, unseen; one that sleeps is awake before its bucket is waited for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from infra.cli import json_access
from infra.cli.http import session
from infra.cli.json_access import Facts
from infra.cli.outputs import Outputs
from infra.cli.routers import ask_health, credentials
from infra.cli.status_view import split

# A router waits for its bucket for three seconds.
ORDER_S = 4.0
PATH = "/api/control"
# What to order to undo all orders.
CONFIGURED = "configured"


@dataclass(frozen=True, slots=True)
class ControlAnswer:
    """What one router says; `problem` when it does not say it. place: its `cloud/region`, if known."""

    url: str
    control: Facts
    problem: str = ""
    place: str = ""

    @property
    def name(self) -> str:
        """For a person."""
        return self.place or self.url

    @property
    def facts(self) -> Facts:
        """For --json."""
        cloud, _, region = self.place.partition("/")
        where = {"cloud": cloud, "region": region} if self.place else {}
        return {
            "router": self.url,
            **where,
            **self.control,
            **({"problem": self.problem} if self.problem else {}),
        }


def ask(outputs: Outputs) -> list[ControlAnswer]:
    """How each router chooses."""
    return _all(outputs, None)


def tell(outputs: Outputs, name: str) -> list[ControlAnswer]:
    """Have each router choose by this strategy, or as configured."""
    return _all(outputs, {"strategy": None if name == CONFIGURED else name})


def sentence(answer: ControlAnswer) -> str:
    """One line for a person."""
    if answer.problem:
        return f"{answer.name}: {answer.problem}"
    told = answer.control
    effective, configured = json_access.text(told.get("effective")), json_access.text(told.get("configured"))
    ordered = "as configured" if told.get("strategy") is None else f"ordered; configured: {configured}"
    kept = ", until this instance ends" if told.get("kept") == "instance" and told.get("revision") else ""
    unread = f"; what is kept cannot be read: {told['unread']}" if told.get("unread") else ""
    return f"{answer.name}: {effective} ({ordered}{kept}{unread})"


def disagreement(answers: Sequence[ControlAnswer]) -> str:
    """That the routers differ, as far as they answered; empty when they do not."""
    return split(
        {one.name: json_access.text(one.control.get("effective")) for one in answers if not one.problem}
    )


def _all(outputs: Outputs, order: Mapping[str, object] | None) -> list[ControlAnswer]:
    urls, places = outputs.router_urls, outputs.router_places
    if not urls:
        return []
    one = partial(_one, places=places, api_key=outputs.api_key, order=order)
    with ThreadPoolExecutor(len(urls)) as pool:
        return list(pool.map(one, urls))


def _one(
    url: str, *, places: Mapping[str, str], api_key: str, order: Mapping[str, object] | None
) -> ControlAnswer:
    import requests

    health = ask_health(url)
    place = json_access.place(health.health or {}) or places.get(url, "")
    if health.health is None:
        return ControlAnswer(url, {}, health.problem, place)
    with session(url) as http:
        try:
            reply = http.request(
                "GET" if order is None else "PUT",
                f"{url}{PATH}",
                json=None if order is None else dict(order),
                headers=credentials(api_key),
                timeout=ORDER_S,
            )
        except requests.RequestException as error:
            taken = "" if order is None else "; it may have taken the order"
            return ControlAnswer(url, {}, f"no answer ({type(error).__name__}){taken}", place)
    told = json_access.facts(json_access.parse(reply.text))
    if reply.status_code != 200 or "effective" not in told:
        said = json_access.text(json_access.facts(told.get("error")).get("message"), reply.text.strip()[:80])
        return ControlAnswer(url, {}, f"HTTP {reply.status_code}: {said or 'no body'}", place)
    return ControlAnswer(url, told, place=place)
