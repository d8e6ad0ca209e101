"""Errors of the set-up. A message says what happened, what was found and what to do.

SetupError
├── StepFailed     a child process (pip, uv, go) failed
├── NoWheel        a pin of a lock has no wheel that runs in the clouds
├── LockUnreadable a lock file is missing or has no entry for a package
├── BadOverride    a program that the user named cannot be used
├── Unavailable    a tool of the tests cannot be built on this machine
└── NoPulumi       no source provided a Pulumi CLI
"""

from __future__ import annotations


class SetupError(Exception):
    """Base of all errors; the message is printed as it is."""


class StepFailed(SetupError):
    """A child process failed; the message has the end of its output."""


class NoWheel(SetupError):
    """A pin of a lock has no wheel that runs in the clouds; the message names the newest version with one."""


class LockUnreadable(SetupError):
    """A lock file is missing or incomplete."""


class BadOverride(SetupError):
    """The program that SKYFLEET_PULUMI names cannot be used. No other one is tried."""


class Unavailable(SetupError):
    """A tool of the tests cannot be built here; the message says what is missing and what to do."""


class NoPulumi(SetupError):
    """All sources of a Pulumi CLI failed; the message has the reason of each."""
