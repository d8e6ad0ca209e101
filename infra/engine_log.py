"""The SDK's debug messages, which no deployment to the emulated clouds sends.

Pulumi's SDK sends several for each resource, each in a call that blocks the program until the engine answers
(pulumi/log.py, `_log`). The engine shows them with `pulumi up --debug` only, and tells a program nothing of
that option. On real accounts they are sent.
"""

from __future__ import annotations

import pulumi


def leave_out_debug() -> None:
    """Send no debug message from now on; all other messages are sent as before."""
    pulumi.log.debug = _nothing


def _nothing(
    msg: str,
    resource: pulumi.Resource | None = None,
    stream_id: int | None = None,
    ephemeral: bool | None = None,
) -> None:
    """In place of `pulumi.log.debug`."""
