"""The twelve faults that users of gateways report most, as rows of docs/whose-fault.md.

Each case plays one fault and returns what it showed. The page is written from these (`python -m
tests.whose_fault`), and the test compares the page with what happens.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from openai import APIError, AsyncOpenAI

from tests.functions.fake_model import FakeModel
from tests.functions.support import serving
from tests.router.proxy.support import CHUNKED, EVENTS, MARK, breaks, chunk, sends
from tests.router.support import QUICK, Front, Peer, Received, alive
from tests.whose_fault.fleets import CHAT, TIMES, Seen, agents, blamed, scripts, told


@dataclass(frozen=True, slots=True)
class Case:
    """One row. fault: what goes wrong. rule: why the client and the clouds are treated so."""

    fault: str
    rule: str
    play: Callable[[], Awaitable[Seen]]


def failing_model(status: int, error: dict[str, object], **fields: str) -> FakeModel:
    """A model that refuses each request in OpenAI's shape."""
    named = {name.replace("_", "-"): value for name, value in fields.items()}
    turns = [json.dumps({"error": error}).encode()] * (3 * TIMES)
    return FakeModel(*turns, status=status, fields={"content-type": "application/json", **named})


async def of_model(fake: FakeModel) -> Seen:
    """What clients of three agents see whose model is this one."""
    with serving(fake) as url:
        async with agents(model=url) as front:
            replies = [await front.client.post("/v1/chat/completions", json=CHAT) for _ in range(TIMES)]
            return Seen(told(replies), f"the model: {len(fake.asked) / TIMES:g}", await blamed(front))


async def storm() -> Seen:
    return await of_model(failing_model(429, {"code": "rate_limit_exceeded"}, retry_after="7"))


async def too_long() -> Seen:
    return await of_model(failing_model(400, {"code": "context_length_exceeded", "param": "messages"}))


async def wrong_key() -> Seen:
    return await of_model(failing_model(401, {"code": "invalid_api_key"}))


async def truncated_answer() -> Seen:
    """The model ends at its limit of tokens."""
    turn = {"choices": [{"message": {"content": "half an ans"}, "finish_reason": "length"}]}
    fake = FakeModel(*[turn] * TIMES)
    with serving(fake) as url:
        async with agents(model=url) as front:
            replies = [await front.client.post("/v1/chat/completions", json=CHAT) for _ in range(TIMES)]
            (reason,) = {reply.json()["choices"][0]["finish_reason"] for reply in replies}
            client = f"{told(replies)}, `finish_reason: {reason}`"
            return Seen(client, f"the model: {len(fake.asked) / TIMES:g}", await blamed(front))


async def cut_stream() -> Seen:
    """One cloud breaks connections in the middle of event streams; the others stream the same events."""
    first, last = chunk(b"data: a\n\n"), chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n"
    head = CHUNKED % EVENTS
    whole = sends(head, first, last)
    async with scripts(sends(head, first, reset=True), whole, whole, repeatable=True) as (front, asked):
        replies = [await front.client.post("/v1/chat/completions") for _ in range(TIMES)]
        (body,) = {reply.text for reply in replies}
        ended = "the whole stream" if body == "data: a\n\ndata: [DONE]\n\n" else body
        guilty = await blamed(front)
    return Seen(f"{told(replies)}, {ended}", f"agents: {_each(asked)}", guilty)


async def blocked_loop() -> Seen:
    """Ten requests at once to an agent with `time.sleep` in an `async def`, in one instance of one cloud."""
    async with agents(agent="tests.functions.agents:blocks_a_while", policy=QUICK, count=1) as front:
        requests = [front.client.post("/invoke", json={"input": "x"}) for _ in range(10)]
        return Seen(told(await asyncio.gather(*requests)), "the agent: 1", await blamed(front))


async def poison() -> Seen:
    """The agent raises for one input, in each cloud."""

    async def crashes(request: Received, peer: Peer) -> None:
        if request.target == "/health":
            await alive(peer)
        else:
            await peer.reply(500 if b"poison" in request.body else 200, headers=MARK)

    async with scripts(crashes, crashes, crashes, repeatable=True) as (front, asked):
        replies = [await front.client.post("/invoke", json={"input": "poison"}) for _ in range(TIMES)]
        others = [await front.client.post("/invoke", json={"input": "fine"}) for _ in range(TIMES)]
        guilty = await blamed(front)
    (status,) = {reply.status_code for reply in others}
    return Seen(f"{told(replies)}; other requests {status}", f"agents: {_each(asked, TIMES)}", guilty)


async def cold_fleet() -> Seen:
    """Each instance starts: it answers after probes would have failed, and says that it was cold."""

    async def starts(request: Received, peer: Peer) -> None:
        await asyncio.sleep(0.2)
        cold = MARK + "x-skyfleet-cold: true\r\n"
        await (alive(peer, cold=True) if request.target == "/health" else peer.reply(200, headers=cold))

    policy = replace(QUICK, cold_timeout_s=30.0)
    async with scripts(starts, starts, starts, policy=policy) as (front, asked):
        replies = [await front.client.post("/invoke") for _ in range(TIMES)]
        guilty = await blamed(front)
    return Seen(told(replies), f"agents: {_each(asked)}", guilty)


async def error_page() -> Seen:
    """The function of one cloud is gone, and the platform's front end answers for it."""

    async def page(request: Received, peer: Peer) -> None:
        if request.target == "/health":
            await alive(peer)
        else:
            html = "content-type: text/html\r\n"
            await peer.reply(503, b"<h1>Service Unavailable</h1>", headers=html)

    async def fine(request: Received, peer: Peer) -> None:
        await (alive(peer) if request.target == "/health" else peer.reply(200, headers=MARK))

    async with scripts(page, fine, fine) as (front, asked):
        replies = [await front.client.post("/invoke") for _ in range(TIMES)]
        guilty = await blamed(front)
    return Seen(told(replies), f"agents: {_each(asked[1:])}", guilty)


async def sdk_repeats() -> Seen:
    """The official OpenAI client on its defaults, and a connection that breaks after the request was sent."""
    async with scripts(breaks, breaks, breaks) as (front, asked):
        base = f"http://127.0.0.1:{front.port}/v1"
        reply = await front.client.post("/v1/chat/completions", json=CHAT)
        async with AsyncOpenAI(base_url=base, api_key="k") as client:
            try:
                await client.chat.completions.create(model="m", messages=[{"role": "user", "content": "hi"}])
            except APIError as error:
                said = type(error).__name__
            else:
                said = "a reply"
        guilty = await blamed(front)
    return Seen(f"{told([reply])}; the client raises {said}", f"agents: {(sum(asked) - 1):g}", guilty)


async def preflight() -> Seen:
    """A page asks a router that requires an API key whether it may call the agent."""

    async def allows(request: Received, peer: Peer) -> None:
        if request.target == "/health":
            await alive(peer)
        else:
            allowed = "access-control-allow-origin: https://app.example.com\r\n"
            await peer.reply(204 if request.method == "OPTIONS" else 200, headers=MARK + allowed)

    asks = {
        "origin": "https://app.example.com",
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization",
    }
    async with scripts(allows, allows, allows, is_open=False) as (front, asked):
        replies = [await front.client.options("/invoke", headers=asks) for _ in range(TIMES)]
        guilty = "none, and no credit" if not await _evidence(front) else "evidence"
    return Seen(told(replies), f"agents: {_each(asked)}", guilty)


async def redirect() -> Seen:
    """FastAPI's redirect from `/item` to `/item/`, with the URL that the application sees."""
    async with agents(agent="tests.fastapi_agent:app") as front:
        reply = await front.client.get("/item")
        here = f"http://127.0.0.1:{front.port}"
        at = reply.headers["location"].replace(here, "ROUTER")
        followed = await front.client.get("/item", follow_redirects=True)
        client = f"{told([reply])}, `location: {at}`; followed: {told([followed])}"
        return Seen(client, "the agent: 1", await blamed(front))


async def _evidence(front: Front) -> bool:
    key = {"authorization": "Bearer a made-up key"}
    status = (await front.client.get("/api/status", headers=key)).json()
    return any(one["state"] != "unknown" for one in status["targets"])


def _each(asked: list[int], less: int = 0) -> str:
    return f"{(sum(asked) - less) / TIMES:.3g}"


CASES = (
    Case(
        "429 storm: the model says 429 with `Retry-After: 7`",
        "The answer of a model that all clouds share goes to the client as it is.",
        storm,
    ),
    Case("context too long: the model says 400", "The client's mistake stays a 400 with its code.", too_long),
    Case(
        "wrong key at the model: it says 401",
        "The operator's key is no mistake of the client, and no other cloud has another one.",
        wrong_key,
    ),
    Case(
        "cut stream: one cloud breaks event streams",
        "The stream goes on from another cloud if that sends the same bytes. The cloud is at fault.",
        cut_stream,
    ),
    Case(
        "truncated answer: the model ends at its limit",
        "What the model says of its end reaches the client.",
        truncated_answer,
    ),
    Case(
        "blocked loop: `time.sleep` in an `async def`",
        "`/health` does not hang on the user's event loop: busy is not dead.",
        blocked_loop,
    ),
    Case(
        "poison prompt: the agent raises for one input",
        "What fails alike in every cloud is no cloud's fault.",
        poison,
    ),
    Case("cold fleet: each instance starts", "Cold is not down.", cold_fleet),
    Case(
        "platform error page: one function is gone",
        "A reply without the load field is not the agent's: it is not passed on, and the target is at fault.",
        error_page,
    ),
    Case(
        "SDK retries: a connection breaks after the request was sent",
        "The request may have run, so it is not repeated, and the client is told so.",
        sdk_repeats,
    ),
    Case(
        "preflight: a page calls a router that requires a key",
        "A preflight needs no key. What a request without a key meets is no evidence.",
        preflight,
    ),
    Case(
        "redirect: `/item` to `/item/`",
        "The application sees the URL that its client uses.",
        redirect,
    ),
)
