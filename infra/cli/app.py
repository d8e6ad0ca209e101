"""The names of the commands. The file of a command is imported when it is called or its help is shown."""

from __future__ import annotations

import importlib
from collections.abc import Mapping

import click

from infra.operations.suggest import suggestion

COMMANDS: Mapping[str, str] = {
    "up": "Deploy to the emulated clouds on this machine.",
    "preflight": "Show the accounts of a stack and what would make its deployment fail.",
    "down": "Destroy the deployment and remove .skyfleet/.",
    "status": "Show routers, targets and their health, faults.",
    "top": "Show the fleet live, as the manager sees it.",
    "outputs": "Print the outputs of the stack.",
    "invoke": "Call the agent through the router.",
    "strategy": "Show or change the strategy of the routers.",
    "drain": "Keep new requests away from a cloud or region.",
    "create": "Add a cloud's region to the fleet, or change it.",
    "delete": "Drain a cloud's region and remove it from the fleet.",
    "manager": "Run the manager: API and page.",
    "chaos": "Inject a fault into an emulated cloud, or heal it.",
    "env": "Print shell exports for plain `pulumi`.",
    "logs": "Print logs of functions and of the emulator.",
}


class Commands(click.Group):
    """A group that imports the file of a command when it is needed."""

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
@click.version_option(package_name="skyfleet", message="%(prog)s %(version)s")
def cli() -> None:
    """One agent on AWS Lambda, Azure Functions and Google Cloud Functions behind one router.

    The commands work on the emulated clouds of this checkout. Real accounts are deployed with plain `pulumi
    up`; `--stack NAME` selects such a stack.
    """
