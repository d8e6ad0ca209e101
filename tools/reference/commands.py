"""The command line's help, as click prints it."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import click

from infra.cli.app import cli

WIDTH = 100


def page() -> str:
    """The help of `skyfleet` and of each command, one section each."""
    return "\n\n".join(f"## `{name}`\n\n```text\n{text}\n```" for name, text in helps())


def helps() -> Iterator[tuple[str, str]]:
    """Name and help of each command, the group first."""
    group = _unused(cli)
    top = click.Context(
        group,
        info_name="skyfleet",
        max_content_width=WIDTH,
        terminal_width=WIDTH,
        help_option_names=cli.context_settings["help_option_names"],
    )
    yield "skyfleet", group.get_help(top)
    for name in cli.list_commands(top):
        command = cli.get_command(top, name)
        if command is not None:
            yield from _with_subcommands(f"skyfleet {name}", command, top)


def _unused(command: click.Command) -> click.Command:
    """A copy without the help option, which click keeps as the first call made it (8.1.8, `get_help_option`).

    A command that was called without its group has `--help` alone, and not the group's `-h`.
    """
    fresh = copy.copy(command)
    vars(fresh)["_help_option"] = None
    return fresh


def _with_subcommands(title: str, command: click.Command, parent: click.Context) -> Iterator[tuple[str, str]]:
    name, command = title.rpartition(" ")[2], _unused(command)
    inner = click.Context(
        command, parent=parent, info_name=name, max_content_width=WIDTH, terminal_width=WIDTH
    )
    yield title, command.get_help(inner)
    if isinstance(command, click.Group):
        for below in command.list_commands(inner):
            if (found := command.get_command(inner, below)) is not None:
                yield from _with_subcommands(f"{title} {below}", found, inner)
