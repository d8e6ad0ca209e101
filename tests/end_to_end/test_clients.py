"""The official OpenAI client through each router, and `skyfleet.client` while a router's cloud is lost."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from openai import APIStatusError, AsyncOpenAI, BadRequestError, OpenAI

import skyfleet.client
from tests.end_to_end.fleet import Fleet

pytestmark = [pytest.mark.emulator, pytest.mark.xdist_group("fleet-1"), pytest.mark.timeout(300)]

QUESTION: Any = {"model": "skyfleet", "messages": [{"role": "user", "content": "what is 12 * (3 + 4)?"}]}
RATE, SECONDS, LOST_AT_S = 20, 6, 2.0


@pytest.mark.parametrize("number", range(3))
def test_the_official_client_works_through_each_router(healed: Fleet, number: int) -> None:
    """Whole, streamed, twice, with an image, refused in OpenAI's shape, ended by a deadline."""
    url = str(healed.facts("outputs")["routerUrls"][number]).rstrip("/")
    with OpenAI(base_url=f"{url}/v1", api_key="unused", max_retries=0) as client:
        create: Any = client.chat.completions.create
        assert "84" in create(**QUESTION).choices[0].message.content
        chunks = list(create(**QUESTION, stream=True, stream_options={"include_usage": True}))
        assert "84" in "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
        assert (chunks[-1].choices, chunks[-1].usage.total_tokens > 0) == ([], True)
        both = create(**QUESTION, n=2).choices
        assert [(one.index, "84" in one.message.content) for one in both] == [(0, True), (1, True)]
        image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,aW1n"}}
        seen = create(model="skyfleet", messages=[{"role": "user", "content": [image]}])
        assert "image/png of 3 bytes" in seen.choices[0].message.content
        with pytest.raises(BadRequestError) as refused:
            create(**QUESTION, n=0)
        assert (refused.value.param, refused.value.type) == ("n", "invalid_request_error")
        slow = {"model": "skyfleet", "messages": [{"role": "user", "content": "wait 5 seconds"}]}
        with pytest.raises(APIStatusError) as late:
            create(**slow, extra_headers={"x-skyfleet-timeout-ms": "700"})
        assert late.value.status_code == 504


def test_each_router_tells_a_client_of_all_of_them(healed: Fleet) -> None:
    """The stack's output, from any of them. On an emulated stack nothing is signed."""
    urls = [str(url) for url in healed.facts("outputs")["routerUrls"]]
    for url in urls:
        assert skyfleet.client.discover(url) == urls


@pytest.mark.parametrize("fault", ["kill", "blackhole"])
async def test_a_lost_router_loses_no_request_that_may_be_repeated(healed: Fleet, fault: str) -> None:
    """20 requests a second, and the first router's cloud is lost: each one is answered. The client was given
    its URL only."""
    outputs = healed.facts("outputs")
    first = outputs["routers"][0]["cloud"]
    urls = await skyfleet.client.async_discover(str(outputs["routerUrl"]))
    assert len(urls) == 3
    http = skyfleet.client.async_openai(urls)
    answered: list[int] = []

    async def ask(client: AsyncOpenAI, at: float, number: int) -> None:
        await asyncio.sleep(at)
        key = {"idempotency-key": f"{fault}-{number}"}
        create: Any = client.chat.completions.create
        done = await create(**QUESTION, extra_headers=key)
        assert "84" in done.choices[0].message.content
        answered.append(number)

    def lose() -> None:
        begun = {"cloud": first, "fault": fault, "scope": "all"}
        assert healed.admin("POST", "/v1/faults", begun).ok

    # Silent agents keep requests for seconds, and the emulated account has ten of them at once at its router:
    # Lambda then answers 429, which the library repeats by itself.
    repeats = 0 if fault == "kill" else 5
    async with AsyncOpenAI(
        base_url=f"{urls[0]}/v1", api_key="unused", http_client=http, max_retries=repeats, timeout=90
    ) as client:
        loop = asyncio.get_running_loop()
        loop.call_later(LOST_AT_S, loop.run_in_executor, None, lose)
        async with asyncio.TaskGroup() as group:
            for number in range(RATE * SECONDS):
                group.create_task(ask(client, number / RATE, number))
    assert sorted(answered) == list(range(RATE * SECONDS))
