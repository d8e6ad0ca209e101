"""The environment in which the plain Pulumi CLI works on the emulated clouds.

The rule of this file: pure. `skyfleet up` and `eval "$(skyfleet env)"` use the same variables, so what the
one does the other can repeat.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path

from infra.cli.paths import STACK, Layout

# Guards nothing: the emulated stack's secrets are made up on this machine and live beside it in plain files.
LOCAL_PASSPHRASE = "skyfleet-local"  # noqa: S105

# Empty is off. The clouds' SDKs have a thousand modules; compiling them again takes longer than a deploy.
KEEP_BYTECODE = {"PYTHONDONTWRITEBYTECODE": ""}


def pulumi_variables(
    layout: Layout,
    *,
    pulumi_path: Iterable[Path],
    venv_bin: Path,
    providers: str | None,
    environ: Mapping[str, str],
) -> dict[str, str]:
    """Variables to add to `environ`. providers: `aws:PORT,...` of a running emulator, None when it is down.

    The project's own Python comes first on PATH: the language host built from Go modules starts `python`
    from there.
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
    """Pulumi's file backend in `folder`, without its `.attrs` sidecars.

    A state file is replaced by a rename, its sidecar is written in place: a Pulumi killed in between leaves
    an empty one, and every later command ends with "failed to load checkpoint: EOF".
    """
    return f"file://{folder}?metadata=skip"


def exports(variables: Mapping[str, str]) -> str:
    """Lines for `eval` in any POSIX shell."""
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in variables.items())
