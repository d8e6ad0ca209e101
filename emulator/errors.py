"""Errors of the emulator, by cause.

    EmulatorError
    ├── CloudError          the cloud refuses what the program asked for (cause: the program)
    │   └── NotYetReady     the cloud refuses now and accepts later (a change that still propagates)
    ├── ApplyError          a function does not start (cause: mostly its package)
    ├── StoreError          the emulator's file cannot be read or written (cause: disk, permissions)
    └── PortTaken           another process listens on a port of the emulator

Messages say what happened, what was found and what to do. They never contain a secret.
"""

from __future__ import annotations

from pathlib import Path


class EmulatorError(Exception):
    """Base class; catch it at an outermost shell only."""


class CloudError(EmulatorError):
    """A refusal by the cloud. code: the vendor's error code; message: the vendor's sentence."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


class NotYetReady(CloudError):
    """A refusal that ends by itself. retried_s: real seconds for which the vendor's Pulumi provider repeats
    the call; 0 where it fails at once.
    """

    def __init__(self, code: str, message: str, retried_s: float = 0.0) -> None:
        super().__init__(code, message)
        self.retried_s = retried_s


class ApplyError(EmulatorError):
    """The function or schedule `key` cannot run. reason: why."""

    def __init__(self, key: str, reason: str) -> None:
        super().__init__(f"{key}: {reason}")
        self.key = key
        self.reason = reason


class StoreError(EmulatorError):
    """The file `path` could not be read or written. reason: why."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason


class PortTaken(EmulatorError):
    """Another process listens on `port` of 127.0.0.1, which `purpose` needs."""

    def __init__(self, port: int, purpose: str) -> None:
        super().__init__(
            f"port {port} of 127.0.0.1, which {purpose} needs, is taken by another process; "
            "stop that process, or remove .skyfleet/ to let the emulator choose new ports"
        )
        self.port = port
        self.purpose = purpose
