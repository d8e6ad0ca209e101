"""Steps before Pulumi runs: read the stack config, check the disk, build the packages.

They use the same code as the Pulumi program. So mistakes are reported before anything is deployed, and the
program finds its packages.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from infra.operations import json_access
from infra.operations.errors import SetupFailed
from infra.operations.paths import STACK, Layout
from infra.operations.stack.state import still_running

# Packages, unpacked copies and logs: a fleet on three clouds takes about 190 MB.
FIRST_MB = 256
# For a later deployment: a change of the agent replaces a third of that.
AGAIN_MB = 96

if TYPE_CHECKING:
    from pathlib import Path

    from infra.config.model import Settings
    from infra.packaging import Packages


def read_settings(layout: Layout, stack: str = STACK) -> Settings:
    """The settings of a stack. stack: its name, with or without owner. Raises SetupFailed."""
    from infra.config.parse import parse_settings
    from infra.errors import InfraError

    try:
        return parse_settings(read_config(layout, stack), stack.rpartition("/")[2])
    except InfraError as error:
        raise SetupFailed(str(error)) from None


def read_config(layout: Layout, stack: str = STACK) -> json_access.JsonObject:
    """The stack config as it is in its file, by full key. Raises SetupFailed."""
    import yaml

    from infra.config.yaml_error import yaml_mistake

    name = stack.rpartition("/")[2]
    path = layout.root / f"Pulumi.{name}.yaml"
    try:
        parsed: object = yaml.safe_load(path.read_text())
    except OSError as error:
        raise SetupFailed(
            f"{layout.shown(path)} cannot be read: {error.strerror}. {_restore_advice(name)}"
        ) from None
    except UnicodeDecodeError as error:
        raise SetupFailed(
            f"{layout.shown(path)} is not text in UTF-8 (byte {error.start}). Save it as UTF-8, or restore "
            "it with git."
        ) from None
    except yaml.YAMLError as error:
        raise SetupFailed(f"{layout.shown(path)} is not YAML: {yaml_mistake(error)}") from None
    return {
        str(key): value
        for key, value in json_access.as_object(json_access.as_object(parsed).get("config")).items()
    }


def check_disk_space(layout: Layout, free: Callable[[Path], int]) -> None:
    """Raise SetupFailed when the disk has too little space: a full disk damages Pulumi's state.

    free: the free bytes of the disk of a folder.
    """
    needed = AGAIN_MB if layout.checkpoint.exists() else FIRST_MB
    found = free(layout.home) // 2**20
    if found < needed:
        raise SetupFailed(
            f"only {found} MB are free where {layout.shown(layout.home)}/ lies, and a deployment needs "
            f"{needed} MB there. Free the disk, then run `make up` again. Nothing was deployed. "
            f"{still_running(layout.checkpoint)}"
        )


def build_packages(
    layout: Layout, settings: Settings, environ: Mapping[str, str], now: Callable[[str], None]
) -> Packages:
    """The packages of a stack, built. now: gets the present step. Raises SetupFailed with file and line."""
    from infra.errors import InfraError
    from infra.packaging import build_all

    try:
        return build_all(settings, progress=now, root=layout.root, environ=environ)
    except InfraError as error:
        raise SetupFailed(f"{error}\nNothing was deployed. {still_running(layout.checkpoint)}") from None


def _restore_advice(stack: str) -> str:
    if stack == STACK:
        return "Restore it with git."
    return f"Run it in the checkout that {stack} is deployed from: the stack's config says what it deploys."
