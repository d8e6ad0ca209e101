"""`skyfleet manager`: run the manager of a stack, and make or revoke its operators' tokens."""

from __future__ import annotations

import json
import time
from collections.abc import Generator
from contextlib import contextmanager
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
    names = _host_names(hosts)
    if is_real(stack):
        with _store(stack) as tokens:
            if not tokens.all():
                raise CommandFailed(
                    f"the stack {stack} is on real accounts, so its manager needs tokens, and there is none: "
                    f"`skyfleet manager token create NAME --role operator --stack {stack}` makes one"
                )
    serve(layout, name, port, lambda: build(layout, name, names))


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
    """Make a token for the operator NAME and print it once.

    Only its hash is stored.
    """
    from infra.manager.access.tokens import Role

    with _store(stack) as tokens:
        secret = tokens.create(name, Role(role), time.time(), days)
    click.echo(secret)
    click.echo(
        "It is shown this once. Scripts: SKYFLEET_MANAGER_TOKEN; browsers: the login of the page.", err=True
    )


@token.command("list")
@stack_option
@json_option
def list_tokens(stack: str | None, as_json: bool) -> None:
    """List tokens: name, role, when made, until when."""
    with _store(stack) as store:
        tokens = store.all()
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
    """Revoke the token NAME.

    A running manager refuses it from its next request on.
    """
    with _store(stack) as tokens:
        if not tokens.revoke(name):
            known = ", ".join(one.name for one in tokens.all()) or "none"
            raise CommandFailed(f"there is no token {name!r}. Known: {known}.")
    click.echo(f"{name} is revoked.")


def _host_names(hosts: tuple[str, ...]) -> frozenset[str]:
    """Host names as the gate compares them. Raises BadParameter for what is more or less than a name."""
    from infra.manager.access.origins import host_name

    for host in hosts:
        if host_name(host) != host.lower() or not host.isascii() or not host.isprintable() or " " in host:
            raise click.BadParameter(
                f"{host!r} is no host name: write it as fleet.example, without scheme, port and path.",
                param_hint="--allow-host",
            )
    return frozenset(host.lower() for host in hosts)


@contextmanager
def _store(stack: str | None) -> Generator[TokenStore]:
    """The tokens of a stack. Raises CommandFailed for what they cannot do, with the reason."""
    from infra.manager.access.tokens import InvalidToken, TokenStore
    from infra.manager.errors import Unavailable

    path = current_layout().manager(stack or STACK) / "tokens.json"
    try:
        yield TokenStore(path)
    except InvalidToken as error:
        raise CommandFailed(str(error)) from None
    except Unavailable as error:
        raise CommandFailed(error.detail) from None
    except OSError as error:
        raise CommandFailed(f"{path} cannot be read or written: {error.strerror}") from None


def _day(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M UTC")
