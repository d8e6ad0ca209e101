"""What can go wrong between the stack config and a deployed fleet.

InfraError
├── ConfigError     the stack config has mistakes; the message lists all of them
├── PreflightError  the shell or an account is not as the deployment needs it; lists all that was found
├── AgentError      the user's agent file does not parse, import, or hold the entry
├── PackageError    a package could not be built (uv, lock, disk)
└── StaleBuildError a cloud still serves another build after the deploy

Every message says what happened, what was found and what to do, and is ready to be shown as it is.
"""

from __future__ import annotations

from collections.abc import Sequence


class InfraError(Exception):
    """Base of all."""


class ConfigError(InfraError):
    """The stack config is wrong; `mistakes` are complete sentences, one each."""

    def __init__(self, mistakes: Sequence[str]) -> None:
        self.mistakes = tuple(mistakes)
        noun = "mistake" if len(self.mistakes) == 1 else "mistakes"
        listed = "\n".join(f"  - {mistake}" for mistake in self.mistakes)
        super().__init__(f"The stack config has {len(self.mistakes)} {noun}; nothing was deployed:\n{listed}")


class PreflightError(InfraError):
    """The deployment would fail or go elsewhere; `problems` are one line each, with what to do."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        listed = "\n".join(f"  - {problem}" for problem in self.problems)
        super().__init__(f"Preflight failed; nothing was deployed:\n{listed}")


class AgentError(InfraError):
    """The agent cannot be deployed; the message names file, line and reason."""


class PackageError(InfraError):
    """A package could not be built; no half-built one is left behind."""


class StaleBuildError(InfraError):
    """After the deploy a function does not report the build that was deployed."""
