"""The commands' names; each is imported only when it is called or its help is shown."""

from __future__ import annotations

import importlib
from collections.abc import Mapping

import click

from infra.cli.suggest import suggestion

COMMANDS: Mapping[str, str] = {
    "up": "Deploy to the emulated clouds on this machine.",
    "preflight": "Which accounts a stack goes to, and what there is in its way.",
    "down": "Destroy the deployment and remove .skyfleet/.",
    "status": "Routers, targets and their health, faults.",
    "outputs": "The stack's outputs.",
    "invoke": "Call the agent through the router.",
    "strategy": "How the routers choose; change it while they run.",
    "drain": "Keep new requests away from a cloud or region; bring it back.",
    "chaos": "Break a cloud on purpose, or heal it.",
    "env": "Shell exports with which plain `pulumi` works here.",
    "logs": "What the functions and the emulated clouds wrote.",
}


class Commands(click.Group):
    """A group that knows its commands' names and loads their files late."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        loaded: object = importlib.import_module(f"infra.cli.commands.{cmd_name}").command
        return loaded if isinstance(loaded, click.Command) else None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not args[0].startswith("-") and args[0] not in COMMANDS:
            raise click.UsageError(
                f"unknown command {args[0]!r}.{suggestion(args[0], COMMANDS)} Known: {', '.join(COMMANDS)}.",
                ctx,
            )
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """One agent on AWS Lambda, Azure Functions and Google Cloud Functions behind one router.

    These commands drive the emulated clouds of this checkout. Real accounts are deployed with plain `pulumi
    up`; `--stack NAME` then asks and orders such a stack.
    """
