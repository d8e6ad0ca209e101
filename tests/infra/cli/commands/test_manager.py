"""`skyfleet manager`: what cannot be served or stored is said in one line."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from infra.cli.app import cli
from infra.operations.paths import Layout


def run(folder: Path, *arguments: str) -> Result:
    return CliRunner().invoke(cli, ("manager", *arguments), obj=Layout(folder))


@pytest.mark.parametrize(
    "arguments",
    [
        ("token", "list"),
        ("token", "revoke", "ole"),
        ("token", "create", "ole", "--role", "viewer"),
        ("--stack", "me/prod"),
    ],
)
def test_tokens_that_are_torn_are_named_with_their_file(arguments: tuple[str, ...], tmp_path: Path) -> None:
    """No traceback, and the file stays as it is."""
    layout, stack = Layout(tmp_path), "me/prod"
    path = layout.manager(stack) / "tokens.json"
    path.parent.mkdir(parents=True)
    path.write_text('{"tokens": [{"name": "o')
    named = arguments if "--stack" in arguments else (*arguments, "--stack", stack)
    said = run(tmp_path, *named)
    assert said.exit_code == 1
    assert isinstance(said.exception, SystemExit)
    assert f"The tokens in {path} cannot be read" in said.output
    assert path.read_text() == '{"tokens": [{"name": "o'


def test_tokens_that_cannot_be_written_are_named_with_their_file(tmp_path: Path) -> None:
    """Here a folder has their name."""
    path = Layout(tmp_path).manager() / "tokens.json"
    path.mkdir(parents=True)
    said = run(tmp_path, "token", "create", "ole", "--role", "viewer")
    assert (said.exit_code, isinstance(said.exception, SystemExit)) == (1, True)
    assert str(path) in said.output


@pytest.mark.parametrize("days", ["nan", "inf", "1e308"])
def test_days_that_are_no_number_are_refused(days: str, tmp_path: Path) -> None:
    """And the tokens that were there still count."""
    run(tmp_path, "token", "create", "ole", "--role", "viewer")
    said = run(tmp_path, "token", "create", "ada", "--role", "viewer", "--days", days)
    assert (said.exit_code, "days" in said.output) == (1, True)
    assert run(tmp_path, "token", "list").stdout == "ole  viewer  never expires\n"


@pytest.mark.parametrize("host", ["fleet.example:8700", "https://fleet.example", "fleet.example/", "a b", ""])
def test_a_host_that_no_browser_sends_is_refused(host: str, tmp_path: Path) -> None:
    """It would match no request, and each would be refused without an obvious reason."""
    said = run(tmp_path, "--allow-host", host)
    assert said.exit_code == 2
    assert "fleet.example" in said.output
