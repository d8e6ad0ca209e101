"""`skyfleet manager`: run the manager of a stack, and make or revoke its operators' tokens."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from infra.cli.context import current_layout, json_option
from infra.operations.errors import CommandFailed
from infra.operations.paths import STACK
from infra.operations.stack.option import is_real, stack_option

if TYPE_CHECKING:
    from infra.manager.access.tokens import TokenStore


@click.group("manager", invoke_without_command=True, epilog="docs/how-to/manage.md has each step.")
@click.option(
    "--port", type=click.IntRange(0, 65535), help="A port of this machine; else that of the last run."
)
@click.option(
    "--allow-host",
    "hosts",
    multiple=True,
    metavar="NAME",
    help="A further host name under which browsers reach it, through a proxy.",
)
@stack_option
@click.pass_context
def command(context: click.Context, port: int | None, hosts: tuple[str, ...], stack: str | None) -> None:
    """Run the manager in the foreground: API and page on this machine.

    Without a token it serves the emulator's stack only.
    """
    if context.invoked_subcommand is not None:
        return
    from infra.manager.assembly import build
    from infra.manager.server import serve

    layout, name = current_layout(), stack or STACK
    if is_real(stack) and not _store(stack).all():
        raise CommandFailed(
            f"the stack {stack} is on real accounts, so its manager needs tokens, and there is none: "
            f"`skyfleet manager token create NAME --role operator --stack {stack}` makes one"
        )
    serve(layout, name, port, lambda: build(layout, name, frozenset(host.lower() for host in hosts)))


@command.group("token")
def token() -> None:
    """Make, list and revoke operators' tokens."""


@token.command("create")
@click.argument("name")
@click.option(
    "--role",
    type=click.Choice(["viewer", "operator"]),
    required=True,
    help="A viewer reads, an operator also changes.",
)
@click.option(
    "--days", type=click.FloatRange(min=0, min_open=True), help="Days until it expires; else never."
)
@stack_option
def create(name: str, role: str, days: float | None, stack: str | None) -> None:
    """Make a token for the operator NAME and print it once; only its hash is stored."""
    from infra.manager.access.tokens import InvalidToken, Role

    try:
        secret = _store(stack).create(name, Role(role), time.time(), days)
    except InvalidToken as error:
        raise CommandFailed(str(error)) from None
    click.echo(secret)
    click.echo(
        "It is shown this once. Scripts: SKYFLEET_MANAGER_TOKEN; browsers: the login of the page.", err=True
    )


@token.command("list")
@stack_option
@json_option
def list_tokens(stack: str | None, as_json: bool) -> None:
    """List tokens: name, role, when made, until when."""
    tokens = _store(stack).all()
    if as_json:
        shown = [
            {"name": one.name, "role": str(one.role), "created": one.created, "expires": one.expires}
            for one in tokens
        ]
        click.echo(json.dumps(shown, indent=2))
        return
    if not tokens:
        click.echo("There is no token.")
    now = time.time()
    for one in tokens:
        until = "never expires" if one.expires is None else f"until {_day(one.expires)}"
        click.echo(f"{one.name}  {one.role}  {'expired' if one.is_expired(now) else until}")


@token.command("revoke")
@click.argument("name")
@stack_option
def revoke(name: str, stack: str | None) -> None:
    """Revoke the token NAME; a running manager refuses it from its next request on."""
    if not _store(stack).revoke(name):
        known = ", ".join(one.name for one in _store(stack).all()) or "none"
        raise CommandFailed(f"there is no token {name!r}. Known: {known}.")
    click.echo(f"{name} is revoked.")


def _store(stack: str | None) -> TokenStore:
    from infra.manager.access.tokens import TokenStore

    return TokenStore(current_layout().manager(stack or STACK) / "tokens.json")


def _day(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M UTC")
