"""Errors of the operator's programs. A message says what happened, what was found and what to do.

click.ClickException (exit code 1)
└── CommandFailed
    ├── NotDeployed       no deployment and no emulator in this checkout
    ├── EmulatorFailed    the daemon of the emulator does not start, answer or stop
    ├── SetupFailed       a step before the deployment failed: Pulumi CLI, config, packages
    ├── PulumiFailed      Pulumi ended with an error
    │   ├── PartlyDeployed     clouds whose management API is down were left out
    │   ├── DeploymentStopped  it was interrupted
    │   └── PulumiKilled       a signal ended Pulumi in the middle
    ├── StackLocked       another deployment of the stack runs
    ├── NoRouterAnswered  no router answered
    └── ManagerSilent     the manager of the stack does not run, does not answer or has an error of its own
click.UsageError (exit code 2): an argument is wrong
"""

from __future__ import annotations

from collections.abc import Mapping

import click


class CommandFailed(click.ClickException):
    """Base of all errors; `message` is printed as it is."""


class NotDeployed(CommandFailed):
    """The command needs a deployment, and there is none."""

    def __init__(self, detail: str = "nothing is up: run `make up`") -> None:
        super().__init__(detail)


class EmulatorFailed(CommandFailed):
    """The daemon of the emulator does not start, answer or stop."""


class SetupFailed(CommandFailed):
    """A step before the deployment failed."""


class PulumiFailed(CommandFailed):
    """Pulumi ended with an error."""


class PartlyDeployed(PulumiFailed):
    """Clouds whose management API is down were left out. clouds: why, by cloud."""

    def __init__(self, message: str, clouds: Mapping[str, str]) -> None:
        super().__init__(message)
        self.clouds = clouds


class DeploymentStopped(PulumiFailed):
    """The deployment was interrupted."""


class PulumiKilled(PulumiFailed):
    """A signal ended Pulumi in the middle."""


class StackLocked(CommandFailed):
    """Another deployment of the stack runs. pid, since: of the process that holds the lock; 0 and empty
    if it is not known."""

    def __init__(self, message: str, pid: int = 0, since: str = "") -> None:
        super().__init__(message)
        self.pid, self.since = pid, since


class NoRouterAnswered(CommandFailed):
    """No router answered."""


class ManagerSilent(CommandFailed):
    """The manager of the stack does not run, does not answer or has an error of its own."""
