"""Tests of the examples in process; tests/end_to_end/test_examples.py deploys them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from functions.loading import Kind, load
from tests.functions.support import application, signed

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
# Its package is in no lock of the project: the test of the deployment installs it.
NOT_HERE = {"numpy_agent"}


@pytest.mark.parametrize(
    ("example", "kind"),
    [
        ("sync_function:agent", Kind.FUNCTION),
        ("async_function:agent", Kind.FUNCTION),
        ("chain:agent", Kind.FUNCTION),
        ("openai_stream:agent", Kind.GENERATOR),
        ("fastapi_app:app", Kind.ASGI),
    ],
)
def test_each_example_is_a_repeatable_agent_of_its_kind(example: str, kind: Kind) -> None:
    """The router may repeat a request to each of them."""
    found = load(f"examples.{example}")
    assert found.kind is kind
    assert found.repeatable


def test_every_example_is_in_the_list() -> None:
    """The README names each file and its agent."""
    listed = (EXAMPLES / "README.md").read_text()
    names = {path.stem for path in EXAMPLES.glob("*.py")} - {"__init__"}
    assert names >= NOT_HERE
    for name in names:
        assert f"[{name}.py]({name}.py) | `examples.{name}:" in listed


@pytest.mark.parametrize(
    ("example", "reply"),
    [
        ("sync_function:agent", {"output": "You said: tea please", "steps": []}),
        ("async_function:agent", {"output": "TEA PLEASE", "messages": 1}),
        ("chain:agent", {"output": "I was asked 'Answer briefly: tea please'.", "steps": []}),
        ("fastapi_app:app", {"output": "Tea Please"}),
    ],
)
async def test_each_example_answers(example: str, reply: object) -> None:
    """A request as the router sends it."""
    app = application(f"examples.{example}")
    answer = await signed(
        app, "POST", "/invoke", b'{"input": "tea please"}', headers={"content-type": "application/json"}
    )
    assert json.loads(answer.body) == reply


async def test_the_generator_streams_words_in_openais_shape() -> None:
    """Several events, and a last one that ends the stream."""
    app = application("examples.openai_stream:agent")
    body = json.dumps({"stream": True, "messages": [{"role": "user", "content": "one two three"}]}).encode()
    answer = await signed(app, "POST", "/v1/chat/completions", body)
    events = [line.removeprefix("data: ") for line in answer.body.decode().splitlines() if line]
    assert events[-1] == "[DONE]"
    said = [json.loads(event)["choices"][0]["delta"].get("content", "") for event in events[:-1]]
    assert "".join(said) == "three two one"


async def test_the_lifespan_and_the_redirect_of_the_application() -> None:
    """What the lifespan loaded is in each request; a missing slash is a redirect."""
    app = application("examples.fastapi_app:app")
    answer = await signed(app, "GET", "/items/")
    assert json.loads(answer.body) == {"items": ["tea", "rice"], "currency": "EUR"}
    redirect = await signed(app, "GET", "/items")
    assert redirect.status == 307
    assert (redirect.header("location") or "").endswith("/items/")
