"""Which stack a command is about: the emulator's (`local`, the default) or one on real accounts.

A real stack is read as its operator reads it: the Pulumi CLI in the operator's own environment, with the
backend, passphrase and access token that are there. Nothing of `skyfleet env` is added. What only the
emulator can do refuses a real stack and says what to do instead.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import click

from infra.cli.engine import Engine
from infra.cli.errors import NothingUp, PulumiFailed
from infra.cli.outputs import Outputs, ask
from infra.cli.paths import STACK, Layout
from infra.setup.pulumi.cli import Cli

Decorated = Callable[[Callable[..., None]], Callable[..., None]]


def _named(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """A shell's variable that is not set gives an empty name, which must not mean the emulator's stack."""
    if value is not None and not value.strip():
        raise click.BadParameter("it is empty; name a stack, or leave --stack out for the emulator's")
    return value


stack_option: Decorated = click.option(
    "--stack",
    callback=_named,
    metavar="NAME",
    help="A stack on real accounts, as `pulumi stack ls` names it; else the emulator's.",
)


def is_real(stack: str | None) -> bool:
    """Whether another stack is meant than the emulator's."""
    return stack not in (None, STACK)


def emulator_only(instead: str) -> Decorated:
    """A `--stack` that takes the emulator's stack alone. instead: what to do with a real one; {stack} in it
    becomes its name."""

    def refuse(context: click.Context, parameter: click.Parameter, value: str | None) -> None:
        if is_real(value):
            said = f"`skyfleet {context.info_name}` is for the emulator, and {value} is another stack. "
            raise click.UsageError(said + instead.format(stack=value), context)

    return click.option(
        "--stack", callback=refuse, expose_value=False, metavar="NAME", help=f"Only {STACK}, the emulator's."
    )


def environment(cli: Cli, environ: Mapping[str, str]) -> dict[str, str]:
    """The operator's own, with this project's Python first on PATH and the CLI last.

    A language host that was built here is older than the CLI and hears nothing of `virtualenv` in
    Pulumi.yaml: it runs the first python3 on PATH.
    """
    venv = str(Path(sys.executable).parent)
    folders = [venv, environ.get("PATH", os.defpath), *map(str, cli.path)]
    return {**environ, "PATH": os.pathsep.join(folders)}


def real_outputs(stack: str, layout: Layout, cli: Cli, environ: Mapping[str, str]) -> Outputs:
    """What a real stack says about itself; NothingUp when it has not been deployed."""
    engine = Engine(cli.program, layout.root, environment(cli, environ))
    try:
        found = ask(engine, "--stack", stack)
    except PulumiFailed as failed:
        raise PulumiFailed(f"{failed.message}\n{advice(stack, layout, environ)}") from None
    if not found.router_urls:
        raise NothingUp(f"the stack {stack} has no routerUrl: `pulumi up --stack {stack}` deploys it")
    return found


def advice(stack: str, layout: Layout, environ: Mapping[str, str]) -> str:
    """What to do when Pulumi does not give a stack's outputs."""
    if str(layout.home) in environ.get("PULUMI_BACKEND_URL", ""):
        return (
            'This shell is aimed at the emulator (`eval "$(skyfleet env)"`), whose backend knows the stack '
            f"{STACK} alone. Open a new shell and run it there."
        )
    return (
        "It was asked in your own environment: `pulumi whoami -v` says which backend that is, `pulumi stack "
        f"ls` which stacks it has; for {stack}, PULUMI_CONFIG_PASSPHRASE may be needed."
    )


def deploy_command(stack: str | None) -> str:
    """What deploys the stack again."""
    return f"pulumi up --stack {stack}" if is_real(stack) else "make up"
