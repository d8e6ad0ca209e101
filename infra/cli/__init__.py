"""The operator's command line, `skyfleet`.

Each command is one file of `commands/`; everything it decides or shows is a pure function in a file of its
own here, so that it can be tested without a process. Heavy modules are imported where they are used:
`--help` must be quick.
"""

from __future__ import annotations


def main() -> None:
    """Entry of `.venv/bin/skyfleet`."""
    from infra.cli.app import cli

    cli(prog_name="skyfleet")
