"""Tests of the loader of the agent: its kind, and errors of invalid agents."""

from __future__ import annotations

import pytest

from functions.errors import AgentNotLoaded
from functions.loading import Kind, load

HERE = "tests.functions.agents"


@pytest.mark.parametrize(
    ("name", "kind", "safe"),
    [
        ("echo", Kind.FUNCTION, False),
        ("mapping", Kind.FUNCTION, True),
        ("an_object", Kind.FUNCTION, False),
        ("synchronous", Kind.FUNCTION, True),
        ("synchronous_object", Kind.FUNCTION, False),
        ("streams", Kind.GENERATOR, False),
        ("synchronous_stream", Kind.GENERATOR, False),
        ("asgi", Kind.ASGI, False),
        ("asgi_object", Kind.ASGI, True),
    ],
)
def test_agents_are_recognised(name: str, kind: Kind, safe: bool) -> None:
    """The kind follows from the signature, and only a decorated agent is repeatable."""
    agent = load(f"{HERE}:{name}")
    assert (agent.kind, agent.repeatable) == (kind, safe)


def test_the_default_agent_is_repeatable() -> None:
    """The router can therefore retry its requests on another cloud."""
    assert load("functions.agent:agent").repeatable


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        ("functions.agent", "module:attribute"),
        ("no.such:agent", "no module 'no'"),
        (f"{HERE}:agnet", "has no 'agnet'; found .*echo"),
        (f"{HERE}:SECRET", "is a str"),
        (f"{HERE}:App", "is a class"),
        (f"{HERE}:no_parameter", "a callable of 0 parameters"),
        (f"{HERE}:two_parameters", "coroutine function of 2 parameters"),
    ],
)
def test_an_invalid_agent_is_named(reference: str, words: str) -> None:
    """The error has the module, the attribute and what was found."""
    with pytest.raises(AgentNotLoaded, match=words):
        load(reference)
