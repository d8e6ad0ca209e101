"""The command line's help, as click prints it."""

from __future__ import annotations

from collections.abc import Iterator

import click

from infra.cli.app import cli

WIDTH = 100


def page() -> str:
    """The help of `skyfleet` and of each command, one section each."""
    return "\n\n".join(f"## `{name}`\n\n```text\n{text}\n```" for name, text in helps())


def helps() -> Iterator[tuple[str, str]]:
    """Name and help of each command, the group first."""
    top = click.Context(cli, info_name="skyfleet", max_content_width=WIDTH, terminal_width=WIDTH)
    yield "skyfleet", cli.get_help(top)
    for name in cli.list_commands(top):
        command = cli.get_command(top, name)
        if command is not None:
            inner = click.Context(
                command, parent=top, info_name=name, max_content_width=WIDTH, terminal_width=WIDTH
            )
            yield f"skyfleet {name}", command.get_help(inner)
