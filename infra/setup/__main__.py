"""`python -m infra.setup venv|pulumi|extras|lock`: the jobs of the Makefile.

An error is one message on stderr and exit code 1.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from types import FrameType

from infra.setup.errors import SetupError
from infra.setup.paths import ROOT
from infra.setup.progress import Console
from infra.setup.venv import ensure


def stop_once(_signal: int, _frame: FrameType | None) -> None:
    """Raise KeyboardInterrupt at the first signal and ignore later ones.

    `timeout` and `make` repeat a signal at once. A second exception would end the work that the first one
    leaves to do: to end a child's group and to print what happened. Both take seconds at most.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def main(arguments: list[str]) -> int:
    """Run one job of the set-up and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m infra.setup", description="Set up a checkout of Skyfleet."
    )
    jobs = parser.add_subparsers(dest="job", required=True)
    jobs.add_parser("venv", help="complete .venv: the packages of locks/project.txt")
    jobs.add_parser("pulumi", help="find or build the Pulumi CLI and print its folder")
    jobs.add_parser("extras", help="build the tools that only tests need")
    jobs.add_parser("lock", help="compile locks/*.txt").add_argument("--upgrade", action="store_true")
    asked = parser.parse_args(arguments)
    console = Console(sys.stderr)
    signal.signal(signal.SIGTERM, stop_once)
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, stop_once)
    if asked.job == "venv":
        ensure(ROOT, os.environ, console)
    elif asked.job == "pulumi":
        from infra.setup.pulumi.choose import ensure_pulumi

        sys.stdout.write(f"{ensure_pulumi(ROOT, os.environ, console).folder}\n")
    elif asked.job == "extras":
        from infra.setup.extras.all import ensure_all, in_ci

        if ensure_all(os.environ, console) and in_ci(os.environ):
            raise SetupError("in CI no test is skipped for a missing tool: install what is named above")
    else:
        from infra.setup.compile_locks import write_all

        changed = write_all(ROOT, os.environ, console, upgrade=asked.upgrade)
        console.line(f"changed: {', '.join(changed)}" if changed else "no lock has changed")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except SetupError as error:
        sys.exit(f"skyfleet set-up: {error}")
    except OSError as error:
        sys.exit(
            f"skyfleet set-up: {error.filename or 'a file'}: {error.strerror}. "
            "Make it writable or free space, then run the same command again."
        )
    except KeyboardInterrupt:
        sys.exit("skyfleet set-up: interrupted. Run the same command again.")
