"""The stack's outputs, read from Pulumi once and kept beside the state until the state changes.

URLs below `localhost`, as the emulated clouds give them, are told in their plain form: 127.0.0.1 works with
every client. `pulumi stack output` shows the cloud's form.

Asking Pulumi costs half a second; `status` and `invoke` should not. The copy is as secret as the state
itself: the user alone may read it.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from infra.cli import json_access
from infra.cli.json_access import JsonObject
from infra.cli.paths import Layout
from infra.cli.stack.runner import PulumiRunner
from infra.loopback import plain_all

HIDDEN = "[secret]"  # what Pulumi itself prints


@dataclass(frozen=True, slots=True)
class Outputs:
    """All outputs; `secret` names those that are shown only when asked for."""

    all: JsonObject = field(repr=False)
    secret: frozenset[str]

    @property
    def shown(self) -> JsonObject:
        """The outputs with secrets hidden."""
        return {key: HIDDEN if key in self.secret else value for key, value in self.all.items()}

    @property
    def router_urls(self) -> list[str]:
        """In the order callers should try them."""
        first = [json_access.string(self.all.get("routerUrl"))]
        return [
            url.rstrip("/")
            for url in dict.fromkeys(first + json_access.strings(self.all.get("routerUrls")))
            if url
        ]

    @property
    def agent_urls(self) -> list[str]:
        """One a cloud and region."""
        agents = json_access.objects(self.all.get("agents"))
        return [url.rstrip("/") for agent in agents if (url := json_access.string(agent.get("url")))]

    @property
    def target_keys(self) -> list[str]:
        """`cloud/region` of each target, as the routers name it."""
        agents = json_access.objects(self.all.get("agents"))
        return [key for agent in agents if (key := json_access.place(agent))]

    @property
    def router_places(self) -> dict[str, str]:
        """`gcp/europe-west1` by URL, for routers that do not say it themselves; empty for what an earlier
        release deployed."""
        return {
            json_access.string(router.get("url")).rstrip("/"): json_access.place(router)
            for router in json_access.objects(self.all.get("routers"))
        }

    @property
    def api_key(self) -> str:
        """Empty on an open stack."""
        return json_access.string(self.all.get("apiKey"))


def read(layout: Layout, engine: Callable[[], PulumiRunner]) -> Outputs:
    """The outputs of the deployed stack; `engine` is made only when the copy is missing or older than the
    state.
    """
    changed = layout.checkpoint.stat().st_mtime_ns
    kept = _read_copy(layout, changed)
    if kept is not None:
        return kept
    found = ask(engine())
    with contextlib.suppress(
        OSError
    ):  # a full disk costs the next call half a second, not this one its answer
        _write_copy(layout, changed, found)
    return found


def ask(engine: PulumiRunner, *stack: str) -> Outputs:
    """What Pulumi says; `stack`: its arguments that name one. PulumiFailed."""
    with ThreadPoolExecutor(2) as both:
        plain = both.submit(engine.capture, "stack", "output", "--json", *stack)
        whole = both.submit(engine.capture, "stack", "output", "--json", "--show-secrets", *stack)
        hidden, everything = (
            json_access.as_object(json_access.parse(plain.result())),
            json_access.as_object(json_access.parse(whole.result())),
        )
    secret = (key for key, value in hidden.items() if value == HIDDEN and everything.get(key) != HIDDEN)
    return _with_plain_urls(everything, frozenset(secret))


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


def _with_plain_urls(everything: JsonObject, secret: frozenset[str]) -> Outputs:
    return Outputs(json_access.as_object(plain_all(everything)), secret)


def _write_copy(layout: Layout, changed: int, found: Outputs) -> None:
    text = json.dumps({"changed": changed, "secret": sorted(found.secret), "outputs": found.all})
    fresh = layout.outputs.with_suffix(f".{os.getpid()}")
    try:
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(text)
        fresh.replace(layout.outputs)
    finally:
        fresh.unlink(missing_ok=True)
