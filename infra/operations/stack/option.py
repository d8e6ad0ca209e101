"""The `--stack` option: the emulator's stack (`local`, the default) or a stack on real accounts.

A command that only the emulator can serve refuses a real stack and says what to do instead.
"""

from __future__ import annotations

from collections.abc import Callable

import click

from infra.operations.paths import STACK

Decorated = Callable[[Callable[..., None]], Callable[..., None]]


def _not_empty(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """Refuse an empty name, as from an unset variable of a shell: it must not mean the emulator's stack."""
    if value is not None and not value.strip():
        raise click.BadParameter("it is empty; name a stack, or leave --stack out for the emulator's")
    return value


stack_option: Decorated = click.option(
    "--stack",
    callback=_not_empty,
    metavar="NAME",
    help="A stack on real accounts, as `pulumi stack ls` names it; else the emulator's.",
)


def is_real(stack: str | None) -> bool:
    """Whether `stack` is another stack than the emulator's."""
    return stack not in (None, STACK)


def emulator_only(instead: str) -> Decorated:
    """A `--stack` option that accepts the emulator's stack only.

    instead: what to do with a real stack; {stack} in it becomes its name.
    """

    def refuse(context: click.Context, parameter: click.Parameter, value: str | None) -> None:
        if is_real(_not_empty(context, parameter, value)):
            reason = f"`skyfleet {context.info_name}` is for the emulator, and {value} is another stack. "
            raise click.UsageError(reason + instead.format(stack=value), context)

    return click.option(
        "--stack", callback=refuse, expose_value=False, metavar="NAME", help=f"Only {STACK}, the emulator's."
    )


def deploy_command(stack: str | None) -> str:
    """The command that deploys the stack again."""
    return f"pulumi up --stack {stack}" if is_real(stack) else "make up"
