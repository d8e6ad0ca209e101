"""Keep the emulator running with the code and the settings of this checkout."""

from __future__ import annotations

import os
from collections.abc import Mapping

from infra.operations.emulator import daemon
from infra.operations.emulator.admin import EmulatorInfo, call, healthy
from infra.operations.paths import Layout
from infra.operations.progress import Progress
from infra.operations.stack.environment import KEEP_BYTECODE
from infra.setup.pip_settings import read_configs, uv_environment


def child_environment(layout: Layout, environ: Mapping[str, str]) -> dict[str, str]:
    """The environment of the daemon: the sources of the checkout first, and pip's settings for its uv."""
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
    progress: Progress,
    settings: Mapping[str, float] | None = None,
) -> EmulatorInfo:
    """The running daemon: started if there is none, and again if its code changed or it does not answer.

    settings: `minute_s` and `delays` of the admin API; None leaves them. Raises EmulatorFailed.
    """
    info = daemon.running(layout)
    if info is not None and not daemon.runs_this_code(layout, info):
        progress.message("the emulated clouds run an older version of their code: starting them again")
        daemon.stop(info.pid, layout)
        info = None
    elif info is not None and not healthy(info):
        progress.message(f"the emulated clouds (pid {info.pid}) do not answer: starting them again")
        daemon.stop(info.pid, layout)
        info = None
    while info is None and (pid := daemon.daemon_pid(layout)) is not None:
        progress.message(
            f"the emulated clouds (pid {pid}) are not ready or lost their files: starting them again"
        )
        daemon.stop(pid, layout)
    if info is None:
        info = daemon.start(layout, environ, lambda: progress.update("waiting until they answer"))
    if settings is not None:
        call(info, "PUT", "/v1/settings", settings)
    return info
