"""Ask every router of a stack how it chooses, or tell it.

Each router keeps its orders in its own cloud's bucket, so each is told; an instance that was not asked
follows within seconds. A router that is out of reach keeps what it has, which is said and not hidden.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from infra.cli import values
from infra.cli.http import session
from infra.cli.routers import credentials
from infra.cli.values import Facts

# A router waits for its bucket for three seconds, after a cold start of as many.
ORDER_S = 10.0
PATH = "/api/control"
# What to order to undo all orders.
CONFIGURED = "configured"


@dataclass(frozen=True, slots=True)
class ControlAnswer:
    """What one router says; `problem` when it does not say it."""

    url: str
    control: Facts
    problem: str = ""

    @property
    def facts(self) -> Facts:
        """For --json."""
        return {"router": self.url, **self.control, **({"problem": self.problem} if self.problem else {})}


def ask(urls: Sequence[str], api_key: str) -> list[ControlAnswer]:
    """How each router chooses."""
    return _all(urls, api_key, None)


def tell(urls: Sequence[str], api_key: str, name: str) -> list[ControlAnswer]:
    """Have each router choose by this strategy, or as configured."""
    return _all(urls, api_key, {"strategy": None if name == CONFIGURED else name})


def sentence(answer: ControlAnswer) -> str:
    """One line for a person."""
    if answer.problem:
        return f"{answer.url}: {answer.problem}"
    told = answer.control
    effective, configured = values.text(told.get("effective")), values.text(told.get("configured"))
    ordered = "as configured" if told.get("strategy") is None else f"ordered; configured: {configured}"
    kept = ", until this instance ends" if told.get("kept") == "instance" and told.get("revision") else ""
    return f"{answer.url}: {effective} ({ordered}{kept})"


def _all(urls: Sequence[str], api_key: str, order: Mapping[str, object] | None) -> list[ControlAnswer]:
    if not urls:
        return []
    with ThreadPoolExecutor(len(urls)) as pool:
        return list(pool.map(partial(_one, api_key=api_key, order=order), urls))


def _one(url: str, *, api_key: str, order: Mapping[str, object] | None) -> ControlAnswer:
    import requests

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
            return ControlAnswer(url, {}, f"no answer ({type(error).__name__})")
    told = values.facts(values.parse(reply.text))
    if reply.status_code != 200 or "effective" not in told:
        said = values.text(values.facts(told.get("error")).get("message"), reply.text.strip()[:80])
        return ControlAnswer(url, {}, f"HTTP {reply.status_code}: {said or 'no body'}")
    return ControlAnswer(url, told)
