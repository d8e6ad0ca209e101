"""The environment in which the Pulumi CLI works on the emulated clouds.

The rule of this file: pure. `skyfleet up` and `eval "$(skyfleet env)"` use the same variables.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path

from infra.operations.paths import STACK, Layout

# Protects nothing: the secrets of the emulator's stack also are in plain files of this checkout.
LOCAL_PASSPHRASE = "skyfleet-local"  # noqa: S105

# Empty means off. The SDKs have a thousand modules; to compile them again takes longer than a deployment.
KEEP_BYTECODE = {"PYTHONDONTWRITEBYTECODE": ""}


def pulumi_variables(
    layout: Layout,
    *,
    pulumi_path: Iterable[Path],
    venv_bin: Path,
    providers: str | None,
    environ: Mapping[str, str],
) -> dict[str, str]:
    """Variables to add to `environ`. providers: `aws:PORT,...` of a running emulator, None without one.

    The project's Python comes first on PATH, where a language host built from Go modules looks for `python`.
    """
    folders = [str(venv_bin), *(str(folder) for folder in pulumi_path)]
    before = [folder for folder in environ.get("PATH", os.defpath).split(os.pathsep) if folder not in folders]
    imports = [
        part for part in environ.get("PYTHONPATH", "").split(os.pathsep) if part and part != str(layout.root)
    ]
    variables = {
        "PATH": os.pathsep.join([*folders, *before]),
        # The checkout's own sources, even when the virtual environment belongs to another checkout.
        "PYTHONPATH": os.pathsep.join([str(layout.root), *imports]),
        **KEEP_BYTECODE,
        "PULUMI_HOME": str(layout.pulumi_home),
        "PULUMI_BACKEND_URL": backend_url(layout.state),
        "PULUMI_CONFIG_PASSPHRASE": LOCAL_PASSPHRASE,
        "PULUMI_STACK": STACK,
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
    }
    if providers is not None:
        variables["PULUMI_DEBUG_PROVIDERS"] = providers
    return variables


def backend_url(folder: Path) -> str:
    """The URL of Pulumi's file backend in `folder`, without `.attrs` files.

    Pulumi replaces a state file by a rename and writes its `.attrs` file in place. A kill in between leaves
    an empty one, and every later command fails with "failed to load checkpoint: EOF".
    """
    return f"file://{folder}?metadata=skip"


def exports(variables: Mapping[str, str]) -> str:
    """`export` lines for a POSIX shell."""
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in variables.items())
