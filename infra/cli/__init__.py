"""The operator's command line, `skyfleet`.

    commands/   one command a file
    output/     what is printed

Rules
- A decision or a text is a pure function outside of `commands/`, so its test needs no process.
- What the manager needs too is in `infra/operations`.
- Heavy modules are imported where they are used: `--help` must be quick.
- The order of the packages is a contract in pyproject.toml; a package imports only those below it.
"""

from __future__ import annotations


def main() -> None:
    """Entry of `.venv/bin/skyfleet`."""
    from infra.cli.app import cli

    cli(prog_name="skyfleet")
