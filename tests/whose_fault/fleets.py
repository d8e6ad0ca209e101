"""Fleets for docs/whose-fault.md: a router over real agents or scripted ones, and what one fault showed."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from functions.app import create
from router.core.policy import Policy
from tests.router.support import CALM, Front, Script, keys_of, router, served, upstream

PLACES = ("aws/r0", "azure/r1", "gcp/r2")
CHAT = {"messages": [{"role": "user", "content": "hi"}]}
# So often each fault is repeated: three times as many failures as eject a target.
TIMES = 9
# Fields by which a client knows whether and when to repeat.
_TOLD = ("retry-after", "x-should-retry", "www-authenticate", "access-control-allow-origin")


@dataclass(frozen=True, slots=True)
class Seen:
    """What a fault showed. client: of every reply. work: how often the model or the agents were asked for one
    request. blamed: the targets that no longer serve fully, with their state."""

    client: str
    work: str
    blamed: str


@contextlib.asynccontextmanager
async def agents(
    *, model: str = "", agent: str = "", policy: Policy = CALM, repeatable: bool = False, count: int = 3
) -> AsyncGenerator[Front, None]:
    """A router over `count` agent functions. model: URL of their model. agent: as in SKYFLEET_AGENT."""
    async with contextlib.AsyncExitStack() as stack:
        urls: list[str] = []
        for place in PLACES[:count]:
            environ = {"SKYFLEET_SIGNING_KEYS": keys_of("agent", place)}
            environ |= {"MODEL_BASE_URL": f"{model}/v1", "MODEL_NAME": "tiny"} if model else {}
            environ |= {"SKYFLEET_AGENT": agent} if agent else {}
            urls.append(f"http://127.0.0.1:{await stack.enter_async_context(served(create(environ)))}")
        yield await stack.enter_async_context(router(urls, policy=policy, repeatable=repeatable))


@contextlib.asynccontextmanager
async def scripts(
    *them: Script, policy: Policy = CALM, repeatable: bool = False, is_open: bool = True
) -> AsyncGenerator[tuple[Front, list[int]], None]:
    """A router over scripted targets, and how many requests each has had, known at the end. is_open: needs no
    API key."""
    async with contextlib.AsyncExitStack() as stack:
        targets = [await stack.enter_async_context(upstream(script)) for script in them]
        urls = [target.url for target in targets]
        asked: list[int] = []
        async with router(
            urls, policy=policy, repeatable=repeatable, SKYFLEET_OPEN=str(int(is_open))
        ) as front:
            yield front, asked
        asked += [len(target.asked) for target in targets]


async def blamed(front: Front) -> str:
    """The targets that do not serve as before, or that no request has met."""
    bad = [
        f"{one['cloud']}: {one['state']}"
        for one in (await front.status())["targets"]
        if one["state"] not in ("unknown", "healthy", "cold")
    ]
    return ", ".join(bad) or "none"


def told(replies: Sequence[httpx.Response]) -> str:
    """Status, error code and the fields that clients obey, the same in all replies."""
    (one,) = {_told(reply) for reply in replies}
    return one


def _told(reply: httpx.Response) -> str:
    parts = [str(reply.status_code)]
    if "json" in reply.headers.get("content-type", "") and reply.content:
        found: Any = reply.json()
        parts += [f"`{found['error']['code']}`"] if "error" in found else []
    parts += [f"`{name}: {reply.headers[name]}`" for name in _TOLD if name in reply.headers]
    return ", ".join(parts)
