"""Errors of a deployment.

InfraError
├── ConfigError     the stack config is invalid; the message lists all mistakes
├── PreflightError  the shell or an account is not ready; lists all problems
├── AgentError      the user's agent module does not parse, import, or define the entry
├── PackageError    a package could not be built (uv, lock, disk)
└── StaleBuildError a cloud serves another build after the deployment

A message says what happened, what was found and what to do; it is printed as it is.
"""

from __future__ import annotations

from collections.abc import Sequence


class InfraError(Exception):
    """Base of all errors."""


class ConfigError(InfraError):
    """The stack config is invalid. mistakes: one sentence each."""

    def __init__(self, mistakes: Sequence[str]) -> None:
        self.mistakes = tuple(mistakes)
        noun = "mistake" if len(self.mistakes) == 1 else "mistakes"
        listed = "\n".join(f"  - {mistake}" for mistake in self.mistakes)
        super().__init__(f"The stack config has {len(self.mistakes)} {noun}; nothing was deployed:\n{listed}")


class PreflightError(InfraError):
    """The deployment would fail, or reach other accounts. problems: one line each, with what to do."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        listed = "\n".join(f"  - {problem}" for problem in self.problems)
        super().__init__(f"Preflight failed; nothing was deployed:\n{listed}")


class AgentError(InfraError):
    """The agent cannot be deployed. The message has file, line and reason."""


class PackageError(InfraError):
    """A package could not be built; no incomplete one is left."""


class StaleBuildError(InfraError):
    """A function does not report the deployed build."""
