"""Have the emulated clouds running, with the code and the settings of this checkout."""

from __future__ import annotations

import os
from collections.abc import Mapping

from infra.cli.emulator import daemon
from infra.cli.emulator.admin import EmulatorInfo, call, healthy
from infra.cli.output.progress import Progress
from infra.cli.paths import Layout
from infra.cli.stack.environment import KEEP_BYTECODE
from infra.setup.pip_settings import read_configs, uv_environment


def child_environment(layout: Layout, environ: Mapping[str, str]) -> dict[str, str]:
    """For the daemon: the checkout's own sources first, and pip's settings for the uv that it runs."""
    imports = [str(layout.root), *filter(None, environ.get("PYTHONPATH", "").split(os.pathsep))]
    return {
        **environ,
        **uv_environment(environ, read_configs(environ)),
        **KEEP_BYTECODE,
        "PYTHONPATH": os.pathsep.join(dict.fromkeys(imports)),
    }


def ensure_running(
    layout: Layout,
    environ: Mapping[str, str],
    shown: Progress,
    settings: Mapping[str, float] | None = None,
) -> EmulatorInfo:
    """The running daemon: started when there is none, again when its sources have changed or it is stuck.

    settings: `minute_s` and `delays` of the admin API, None to leave them.
    """
    note = daemon.running(layout)
    if note is not None and not daemon.runs_this_code(layout, note):
        shown.say("the emulated clouds run an older version of their code: starting them again")
        daemon.stop(note.pid, layout)
        note = None
    elif note is not None and not healthy(note):
        shown.say(f"the emulated clouds (pid {note.pid}) do not answer: starting them again")
        daemon.stop(note.pid, layout)
        note = None
    while note is None and (pid := daemon.daemon_pid(layout)) is not None:
        shown.say(f"the emulated clouds (pid {pid}) are not ready or lost their files: starting them again")
        daemon.stop(pid, layout)
    if note is None:
        note = daemon.start(layout, environ, lambda: shown.now("waiting until they answer"))
    if settings is not None:
        call(note, "PUT", "/v1/settings", settings)
    return note
