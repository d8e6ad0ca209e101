"""OpenAI's own clients for Python and Node.js through each router, with a model behind the agent.

The agent is the default one, under the vendors' own runtimes in the emulated clouds; requests go to the
agents of all three in turn. test_clients.py has the agent without a model, in a deployed fleet.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI
from pydantic import BaseModel

from emulator.desired.model import CLOUDS, Cloud
from infra.setup.extras import openai_node
from infra.setup.extras.openai_node import OPENAI_NODE
from tests.end_to_end.scripted_model import TOO_LONG, USAGE, WAIT_S, ScriptedModel
from tests.end_to_end.three_clouds import World, three_clouds
from tests.extras import program
from tests.functions.support import serving

pytestmark = [pytest.mark.emulator, pytest.mark.xdist_group("openai-sdks"), pytest.mark.timeout(300)]

SCRIPT = Path(__file__).with_name("openai_node.mjs")
PIXEL = {"url": "data:image/png;base64,aW1nIGJ5dGVzIGhlcmU=", "detail": "low"}
LINK = {"url": "https://example.com/a.png"}
IMAGES: Any = [
    {"type": "text", "text": "compare"},
    {"type": "image_url", "image_url": PIXEL},
    {"type": "image_url", "image_url": LINK},
]
PLACE = {
    "type": "object",
    "properties": {"place": {"type": "string"}},
    "required": ["place"],
    "additionalProperties": False,
}
TOOLS: Any = [
    {"type": "function", "function": {"name": "weather", "strict": True, "parameters": PLACE}},
]


class Weather(BaseModel):
    """What a client wants its answer to be."""

    kind: str
    degrees: int


@dataclass(frozen=True, slots=True)
class Fleet:
    """The clouds and the model of their agents."""

    world: World
    model: ScriptedModel


@pytest.fixture(scope="module")
async def fleet(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Fleet]:
    model = ScriptedModel()
    with serving(model) as url:
        environ = {"MODEL_BASE_URL": f"{url}/v1", "MODEL_NAME": "scripted"}
        folder = tmp_path_factory.mktemp("clouds")
        async with three_clouds(folder, "", "functions.agent:agent", **environ) as world:
            yield Fleet(world, model)


@pytest.fixture(params=CLOUDS)
def cloud(request: pytest.FixtureRequest) -> Cloud:
    """The cloud of the router."""
    found: Cloud = request.param
    return found


@pytest.fixture
async def client(fleet: Fleet, cloud: Cloud) -> AsyncGenerator[AsyncOpenAI]:
    """The client with its own settings, retries among them."""
    async with AsyncOpenAI(base_url=f"{fleet.world.url(cloud)}/v1", api_key="unused") as made:
        yield made


def chat(client: AsyncOpenAI) -> Any:  # noqa: ANN401 - its methods take requests of any shape here
    """Chat completions of a client."""
    return client.chat.completions


def says(content: object, **more: object) -> Any:  # noqa: ANN401 - arguments of the client's methods
    """The arguments of a request with one message of the user."""
    return {"model": "skyfleet", "messages": [{"role": "user", "content": content}], **more}


async def streamed(client: AsyncOpenAI, **request: Any) -> tuple[list[str], Any]:  # noqa: ANN401
    """The text of each answer of a stream, and its usage."""
    texts, usage = [""] * request.get("n", 1), None
    async for chunk in await chat(client).create(
        **request, stream=True, stream_options={"include_usage": True}
    ):
        usage = chunk.usage or usage
        for choice in chunk.choices:
            texts[choice.index] += choice.delta.content or ""
    return texts, usage


async def test_answers_are_whole_and_streamed_with_their_usage(client: AsyncOpenAI) -> None:
    """The usage is the model's."""
    whole = await chat(client).create(**says("hello there"))
    assert (whole.choices[0].message.content, whole.model) == ("hello there", "scripted")
    assert whole.usage.to_dict() == USAGE
    (text,), usage = await streamed(client, **says("hello there"))
    assert (text.strip(), usage.to_dict()) == ("hello there", USAGE)


async def test_the_agent_of_each_cloud_answers(client: AsyncOpenAI) -> None:
    """In turn, so that the other tests reach all of them too."""
    seen: set[str] = set()
    for _ in range(40):  # a cloud that was slow for a moment gets fewer of them
        raw = await chat(client).with_raw_response.create(**says("hello there"))
        seen.add(raw.headers["x-skyfleet-target"].partition("/")[0])
        if seen == set(CLOUDS):
            return
    raise AssertionError(f"40 requests reached only {sorted(seen)}")


async def test_tools_are_called_at_once_and_their_results_are_replayed(client: AsyncOpenAI) -> None:
    """Twice in a conversation: the second question comes after the results of the first."""
    messages: list[Any] = [{"role": "user", "content": "weather Rome, Oslo"}]
    for places in (["Rome", "Oslo"], ["Lima", "Bonn", "Lyon"]):
        if len(messages) > 1:
            messages.append({"role": "user", "content": f"weather {', '.join(places)}"})
        reply = await chat(client).create(model="skyfleet", messages=messages, tools=TOOLS)
        message = reply.choices[0].message
        assert reply.choices[0].finish_reason == "tool_calls"
        calls: list[Any] = message.tool_calls or []
        assert [json.loads(call.function.arguments)["place"] for call in calls] == places
        messages.append(message)
        for call in calls:
            place = json.loads(call.function.arguments)["place"]
            messages.append({"role": "tool", "tool_call_id": call.id, "content": f"sun in {place}"})
        done = await chat(client).create(model="skyfleet", messages=messages, tools=TOOLS)
        said = done.choices[0].message.content or ""
        assert said.endswith("; ".join(f"{place}: sun in {place}" for place in places))
        messages.append(done.choices[0].message)


async def test_tool_calls_are_put_together_from_a_stream(client: AsyncOpenAI) -> None:
    """By the client's own helper, also one call only where the client wants no parallel ones."""
    for more, places in (({}, ["Rome", "Oslo"]), ({"parallel_tool_calls": False}, ["Rome"])):
        asked = says("weather Rome, Oslo", tools=TOOLS, **more)
        async with chat(client).stream(**asked) as stream:
            choice = (await stream.get_final_completion()).choices[0]
        calls: list[Any] = choice.message.tool_calls or []
        assert choice.finish_reason == "tool_calls"
        assert [call.function.parsed_arguments["place"] for call in calls] == places


async def test_images_reach_the_model(client: AsyncOpenAI) -> None:
    """With their detail; a wrong one is refused before."""
    whole = await chat(client).create(**says(IMAGES))
    assert json.loads(whole.choices[0].message.content or "") == [PIXEL, LINK]
    (text,), _ = await streamed(client, **says(IMAGES))
    assert json.loads(text) == [PIXEL, LINK]
    wrong = [{"type": "image_url", "image_url": {"url": "data:text/plain;base64,aW1n"}}]
    with pytest.raises(openai.BadRequestError) as refused:
        await chat(client).create(**says(wrong))
    error = refused.value
    assert (error.code, error.param) == ("bad-request", "messages[0].content[0].image_url.url")


async def test_several_answers_have_their_indexes(client: AsyncOpenAI) -> None:
    """Whole and streamed; too many are refused."""
    whole = await chat(client).create(**says("hi", n=3))
    assert [(c.index, c.message.content) for c in whole.choices] == [(0, "hi"), (1, "hi (1)"), (2, "hi (2)")]
    texts, _ = await streamed(client, **says("hi", n=3))
    assert [text.strip() for text in texts] == ["hi", "hi (1)", "hi (2)"]
    with pytest.raises(openai.BadRequestError) as refused:
        await chat(client).create(**says("hi", n=129))
    assert refused.value.param == "n"


async def test_the_response_format_is_the_models(client: AsyncOpenAI) -> None:
    """A schema by the client's own helper, and JSON without one."""
    parsed = await chat(client).parse(**says("hi"), response_format=Weather)
    assert parsed.choices[0].message.parsed == Weather(kind="json_schema", degrees=21)
    loose = await chat(client).create(**says("hi", response_format={"type": "json_object"}))
    assert json.loads(loose.choices[0].message.content or "")["kind"] == "json_object"


async def test_errors_are_the_clients_exceptions(client: AsyncOpenAI) -> None:
    """A refusal has the model's words and is asked once; a broken stream is no short answer."""
    with pytest.raises(openai.BadRequestError, match="8 tokens") as refused:
        await chat(client).create(**says("refuse"))
    error = refused.value
    assert (error.code, error.param, error.type) == (TOO_LONG["code"], TOO_LONG["param"], TOO_LONG["type"])
    with pytest.raises(openai.NotFoundError) as unknown:
        await client.models.retrieve("gpt-none")
    assert (unknown.value.code, unknown.value.param) == ("model_not_found", "model")
    with pytest.raises(openai.APIError, match="broke off"):
        await streamed(client, **says("break off"))
    late = {**says("silent"), "extra_headers": {"x-skyfleet-timeout-ms": "700"}}
    with pytest.raises(openai.InternalServerError) as silent:
        await chat(client.with_options(max_retries=0)).create(**late)
    assert silent.value.status_code == 504


@pytest.mark.parametrize("status", [429, 503])
async def test_the_clients_own_retries_wait_as_long_as_they_are_told(
    client: AsyncOpenAI, cloud: Cloud, status: int
) -> None:
    """The model's Retry-After; the router tries no other cloud with the same model behind it."""
    began = asyncio.get_running_loop().time()
    raw = await chat(client).with_raw_response.create(**says(f"status {status} py-{cloud}"))
    assert (raw.retries_taken, raw.headers["x-skyfleet-attempts"]) == (1, "1")
    assert raw.parse().choices[0].message.content == f"status {status} py-{cloud}"
    # The client's own delay would be half a second at most.
    assert asyncio.get_running_loop().time() - began >= WAIT_S


async def by_node(url: str, key: str) -> Any:  # noqa: ANN401 - the script's JSON
    """What the script's calls of this router gave."""
    module = program(OPENAI_NODE)
    node = openai_node.PACKAGE.node(os.environ)
    process = await asyncio.create_subprocess_exec(
        *(node, str(SCRIPT), module.as_uri(), f"{url}/v1", key),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        printed, problem = await asyncio.wait_for(process.communicate(), 120)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, problem.decode()
    return json.loads(printed)


def error_of(found: Any) -> tuple[object, ...]:  # noqa: ANN401 - as above
    """The client's class of an error, its fields, and the statuses of all its requests."""
    return (found["name"], found["code"], found["param"], found["statuses"])


async def test_the_client_for_node_does_the_same(fleet: Fleet, cloud: Cloud) -> None:
    """Answers, streams, tools and its helpers, images, errors, and its own retries."""
    key = f"node-{cloud}"
    got = await by_node(fleet.world.url(cloud), key)
    assert got["whole"] == {"text": "hello there", "usage": USAGE}
    assert got["streamed"] == {"texts": ["hello there"], "usage": USAGE}
    assert got["models"] == ["skyfleet"]
    assert got["choices"] == [[0, "hi"], [1, "hi (1)"], [2, "hi (2)"]]
    assert got["choicesStreamed"] == ["hi", "hi (1)", "hi (2)"]
    assert got["images"] == [PIXEL, LINK]
    assert got["json"]["kind"] == "json_object"
    assert got["called"] == {"reason": "tool_calls", "text": "Rome: sun in Rome; Oslo: sun in Oslo"}
    assert got["helped"] == {
        "arguments": ['{"place": "Rome"}', '{"place": "Oslo"}'],
        "text": "Rome: rain in Rome; Oslo: rain in Oslo",
    }
    for status in (429, 503):
        retried = got[f"retried{status}"]
        assert (retried["text"], retried["statuses"]) == (f"status {status} {key}", [status, 200])
        assert retried["seconds"] >= WAIT_S
    place = "messages[0].content[0].image_url.url"
    assert error_of(got["badParameter"]) == ("BadRequestError", "bad-request", "n", [400])
    assert error_of(got["badImage"]) == ("BadRequestError", "bad-request", place, [400])
    assert error_of(got["refused"]) == ("BadRequestError", TOO_LONG["code"], TOO_LONG["param"], [400])
    assert error_of(got["notFound"]) == ("NotFoundError", "model_not_found", "model", [404])
    assert error_of(got["brokenOff"]) == ("APIError", "model-failed", None, [200])
    assert (got["late"]["name"], got["late"]["status"]) == ("InternalServerError", 504)
