"""Tests of the loader of the agent: its kind, and errors of invalid agents."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from functions.errors import AgentNotLoaded
from functions.loading import Kind, load
from skyfleet import contract

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
        ("asgi_slots", Kind.ASGI, False),
        ("partial_stream", Kind.GENERATOR, False),
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
        (f"{HERE}:SECRET", "is of type str"),
        (f"{HERE}:App", "is a class"),
        (f"{HERE}:no_parameter", "a callable of 0 parameters"),
        (f"{HERE}:unreadable", "without a readable signature"),
        (f"{HERE}:two_parameters", "coroutine function of 2 parameters"),
    ],
)
def test_an_invalid_agent_is_named(reference: str, words: str) -> None:
    """The error has the module, the attribute and what was found."""
    with pytest.raises(AgentNotLoaded, match=words):
        load(reference)


@pytest.mark.parametrize(
    ("files", "line"),
    [
        ({"mine.py": "import json\n\njson.loads('{')\n"}, "mine.py:3"),
        (
            {"mine/__init__.py": "from mine import late\n", "mine/late.py": "\nopen('/no/file')\n"},
            "mine/late.py:2",
        ),
        ({"mine.py": "import re\nre.compile('(')\n"}, "mine.py:2"),
    ],
    ids=["library", "package", "regular expression"],
)
def test_the_agents_own_line_is_told_and_not_the_librarys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, str], line: str
) -> None:
    """Where a library raised it comes last."""
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.delitem(sys.modules, "mine", raising=False)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    with pytest.raises(AgentNotLoaded) as caught:
        load("mine:agent")
    assert f" does not import: {tmp_path}/{line}: " in str(caught.value)
    assert "(raised at " in str(caught.value) or "late" in line


def test_routers_are_told_kinds_that_they_know() -> None:
    """The deployment passes on the kind that loading an agent found."""
    assert tuple(kind.value for kind in Kind) == contract.AGENT_KINDS
