"""What the command line says when it cannot do what was asked: what happened, what was found, what to do.

click.ClickException (exit code 1)
└── Failed
    ├── NothingUp     no emulated clouds and no deployment in this checkout
    ├── EmulatorFailed     the daemon of the emulated clouds does not start, answer or stop
    ├── SetUpFailed   no Pulumi CLI, no packages: something before the deployment
    ├── PulumiFailed  the engine ended with an error
    ├── Busy          another deployment of this checkout is running
    └── RouterSilent  no router answered
click.UsageError (exit code 2): a word of the command is not one we know
"""

from __future__ import annotations

import click


class CommandFailed(click.ClickException):
    """Base of all; `message` is shown as it is."""


class NotDeployed(CommandFailed):
    """A command that needs a deployment was called without one."""

    def __init__(self, detail: str = "nothing is up: run `make up`") -> None:
        super().__init__(detail)


class EmulatorFailed(CommandFailed):
    """The emulated clouds' daemon."""


class SetupFailed(CommandFailed):
    """Before the deployment."""


class PulumiFailed(CommandFailed):
    """The Pulumi engine."""


class StackLocked(CommandFailed):
    """Another deployment holds the stack."""


class NoRouterAnswered(CommandFailed):
    """None of the routers."""
