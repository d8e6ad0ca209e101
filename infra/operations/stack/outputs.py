"""The outputs of a stack, read from Pulumi and cached beside the state until the state changes.

- Pulumi takes half a second, which `status` and `invoke` should not take. The copy is as secret as the state:
  only the user may read it.
- Which outputs are secret is read from the emulator's own state file. A stack of another backend is asked
  twice, with and without secrets.
- URLs with names below `localhost`, as the emulator gives them, are shown with 127.0.0.1, which works with
  every client. `pulumi stack output` shows the form of the cloud.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from infra.loopback import plain_all
from infra.operations import json_access
from infra.operations.json_access import JsonObject
from infra.operations.paths import Layout
from infra.operations.stack.runner import PulumiRunner
from infra.operations.stack.state import secret_outputs

HIDDEN = "[secret]"  # as Pulumi prints it


@dataclass(frozen=True, slots=True)
class Outputs:
    """The outputs of a stack. secret: names of those that are shown with --show-secrets only."""

    all: JsonObject = field(repr=False)
    secret: frozenset[str]

    @property
    def shown(self) -> JsonObject:
        """The outputs with secrets hidden."""
        return {key: HIDDEN if key in self.secret else value for key, value in self.all.items()}

    @property
    def router_urls(self) -> list[str]:
        """The URLs of the routers, in the order in which clients should try them."""
        first = [json_access.string(self.all.get("routerUrl"))]
        return [
            url.rstrip("/")
            for url in dict.fromkeys(first + json_access.strings(self.all.get("routerUrls")))
            if url
        ]

    @property
    def agent_urls(self) -> list[str]:
        """The URL of each agent."""
        agents = json_access.objects(self.all.get("agents"))
        return [url.rstrip("/") for agent in agents if (url := json_access.string(agent.get("url")))]

    @property
    def target_keys(self) -> list[str]:
        """`cloud/region` of each target, as the routers name it."""
        agents = json_access.objects(self.all.get("agents"))
        return [key for agent in agents if (key := json_access.place(agent))]

    @property
    def router_places(self) -> dict[str, str]:
        """`cloud/region` of each router by its URL."""
        return {
            json_access.string(router.get("url")).rstrip("/"): json_access.place(router)
            for router in json_access.objects(self.all.get("routers"))
        }

    @property
    def api_key(self) -> str:
        """The API key of clients; empty on an open stack."""
        return json_access.string(self.all.get("apiKey"))


def read_outputs(layout: Layout, pulumi: Callable[[], PulumiRunner]) -> Outputs:
    """The outputs of the emulator's stack. pulumi: called when the copy is missing or outdated."""
    changed = layout.checkpoint.stat().st_mtime_ns
    copy = _read_copy(layout, changed)
    if copy is not None:
        return copy
    found = _query_once(layout, pulumi())
    with contextlib.suppress(OSError):  # on a full disk the next call reads them from Pulumi again
        _write_copy(layout, changed, found)
    return found


def _query_once(layout: Layout, pulumi: PulumiRunner) -> Outputs:
    secret = secret_outputs(layout.checkpoint.read_text(errors="replace"))
    if secret is None:
        return query_outputs(pulumi)
    return _with_plain_urls(_with_secrets(pulumi), secret)


def _with_secrets(pulumi: PulumiRunner, *stack: str) -> JsonObject:
    printed = pulumi.capture("stack", "output", "--json", "--show-secrets", *stack)
    return json_access.as_object(json_access.parse(printed))


def query_outputs(pulumi: PulumiRunner, *stack: str) -> Outputs:
    """The outputs as Pulumi has them. stack: arguments that select a stack. Raises PulumiFailed."""
    with ThreadPoolExecutor(2) as both:
        plain = both.submit(pulumi.capture, "stack", "output", "--json", *stack)
        whole = both.submit(_with_secrets, pulumi, *stack)
        hidden, values = json_access.as_object(json_access.parse(plain.result())), whole.result()
    secret = (key for key, value in hidden.items() if value == HIDDEN and values.get(key) != HIDDEN)
    return _with_plain_urls(values, frozenset(secret))


def _read_copy(layout: Layout, changed: int) -> Outputs | None:
    try:
        copy = json_access.as_object(json_access.parse(layout.outputs.read_text(errors="replace")))
    except OSError:
        return None
    if copy.get("changed") != changed:
        return None
    return _with_plain_urls(
        json_access.as_object(copy.get("outputs")), frozenset(json_access.strings(copy.get("secret")))
    )


def _with_plain_urls(values: JsonObject, secret: frozenset[str]) -> Outputs:
    return Outputs(json_access.as_object(plain_all(values)), secret)


def _write_copy(layout: Layout, changed: int, found: Outputs) -> None:
    text = json.dumps({"changed": changed, "secret": sorted(found.secret), "outputs": found.all})
    fresh = layout.outputs.with_suffix(f".{os.getpid()}")
    try:
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(text)
        fresh.replace(layout.outputs)
    finally:
        fresh.unlink(missing_ok=True)
