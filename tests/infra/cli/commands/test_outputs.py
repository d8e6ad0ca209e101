"""Tests of `skyfleet outputs`: all outputs or one, and secrets only on demand."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from infra.cli.commands import outputs
from infra.operations.stack.outputs import Outputs

FOUND = Outputs(
    {"routerUrl": "http://127.0.0.1:1", "routerUrls": ["a", "b"], "apiKey": "k"}, frozenset({"apiKey"})
)


def _found(*_: object) -> Outputs:
    return FOUND


@pytest.fixture(autouse=True)
def stack(monkeypatch: pytest.MonkeyPatch) -> None:
    """A deployed stack."""
    monkeypatch.setattr(outputs, "require_outputs", _found)


@pytest.mark.parametrize(
    ("arguments", "printed"),
    [
        (["routerUrl"], "http://127.0.0.1:1\n"),
        (["routerUrls"], '["a", "b"]\n'),
        (["apiKey"], "[secret]\n"),
        (["apiKey", "--show-secrets"], "k\n"),
        (["routerUrl", "--json"], '"http://127.0.0.1:1"\n'),
        ([], 'routerUrl: http://127.0.0.1:1\nrouterUrls: ["a", "b"]\napiKey: [secret]\n'),
    ],
)
def test_one_output_or_all_are_printed(arguments: list[str], printed: str) -> None:
    """A single output is printed as its bare value, for use in a shell."""
    assert CliRunner().invoke(outputs.command, arguments).stdout == printed


def test_all_outputs_are_one_json_object() -> None:
    """The keys are the names of the outputs."""
    assert set(json.loads(CliRunner().invoke(outputs.command, ["--json"]).output)) == set(FOUND.all)


def test_an_unknown_output_is_refused_with_the_known_names() -> None:
    """The exit code is 2."""
    done = CliRunner().invoke(outputs.command, ["routerURL"])
    assert done.exit_code == 2
    assert "It has: routerUrl, routerUrls, apiKey." in done.output


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["apiKey"], "apiKey is a secret; --show-secrets prints its value.\n"),
        (["apiKey", "--show-secrets"], ""),
        (["routerUrl"], ""),
    ],
)
def test_a_hidden_value_says_how_to_print_it(arguments: list[str], hint: str) -> None:
    """The hint goes to stderr, so that a shell which takes the value sees why its requests get 401."""
    assert CliRunner().invoke(outputs.command, arguments).stderr == hint
