"""What can go wrong while a checkout is set up; each message says what happened, what was found, what to do.

SetupError
├── StepFailed     a program we started (pip, uv, go) ended badly
├── LockUnreadable a lock file is missing or lacks an entry we need
├── BadOverride    a path the user named through the environment does not serve
├── Unavailable    this machine lacks what a tool of the tests is made with
└── NoPulumi       none of the three ways gave a Pulumi CLI
"""

from __future__ import annotations


class SetupError(Exception):
    """Base of all: the message is ready to be shown as it is."""


class StepFailed(SetupError):
    """A child process ended with an error; the message carries the end of what it printed."""


class LockUnreadable(SetupError):
    """A lock file is not there or not whole."""


class BadOverride(SetupError):
    """An explicit wish (`SKYFLEET_PULUMI`) cannot be fulfilled; other ways are not tried behind the user's
    back.
    """


class Unavailable(SetupError):
    """A tool of the tests cannot be made here; the message names what is missing and what to do."""


class NoPulumi(SetupError):
    """All three ways to a Pulumi CLI failed; the message names each with what it lacked."""
