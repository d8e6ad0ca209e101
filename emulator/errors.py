"""Everything that can go wrong in the emulator, by whose fault it is.

    EmulatorError
    ├── CloudError   the cloud refuses what the program asked for (the program's fault)
    │   └── NotYetReady   the cloud refuses now and would accept later (a change that still propagates)
    ├── ApplyError   the hosts cannot make reality equal to the world (mostly the package's fault)
    ├── StoreError   the emulator's own file cannot be read or written (this machine: disk, permissions)
    └── PortTaken    another process listens where the emulator must (this machine)

Messages say what happened, what was found and what to do; they never hold a secret.
"""

from __future__ import annotations

from pathlib import Path


class EmulatorError(Exception):
    """Base of all: catch it only at an outermost shell."""


class CloudError(EmulatorError):
    """A refusal in the words of the cloud: `code` is the vendor's error code, `message` its sentence."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


class NotYetReady(CloudError):
    """A refusal that ends by itself. `retried_s`: real seconds for which the vendor's Pulumi provider repeats
    the call before it fails; 0 where it fails at once."""

    def __init__(self, code: str, message: str, retried_s: float = 0.0) -> None:
        super().__init__(code, message)
        self.retried_s = retried_s


class ApplyError(EmulatorError):
    """`key` (of a function or a schedule in the world) cannot run, because of `reason`."""

    def __init__(self, key: str, reason: str) -> None:
        super().__init__(f"{key}: {reason}")
        self.key = key
        self.reason = reason


class StoreError(EmulatorError):
    """The file `path` could not be read or written: `reason`."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason


class PortTaken(EmulatorError):
    """`port` of 127.0.0.1, meant for `purpose`, is already listened on."""

    def __init__(self, port: int, purpose: str) -> None:
        super().__init__(
            f"port {port} of 127.0.0.1, which {purpose} needs, is taken by another process; "
            "stop that process, or remove .skyfleet/ to let the emulator choose new ports"
        )
        self.port = port
        self.purpose = purpose
