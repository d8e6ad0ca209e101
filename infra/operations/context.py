"""The deployed stack, the running emulator, and Pulumi with its environment."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from infra.operations.emulator.admin import EmulatorInfo
from infra.operations.emulator.daemon import running
from infra.operations.errors import EmulatorFailed, NotDeployed, SetupFailed
from infra.operations.paths import Layout
from infra.operations.stack.environment import pulumi_variables
from infra.operations.stack.option import is_real
from infra.operations.stack.outputs import Outputs, read_outputs
from infra.operations.stack.real import real_outputs
from infra.operations.stack.recovery import check_state
from infra.operations.stack.runner import PulumiRunner
from infra.setup.errors import SetupError
from infra.setup.pip_settings import read_configs, uv_environment
from infra.setup.progress import Console
from infra.setup.pulumi.choose import ensure_pulumi
from infra.setup.pulumi.cli import Cli


def pulumi_cli(layout: Layout) -> Cli:
    """The Pulumi CLI, which is found or built; progress goes to stderr. Raises SetupFailed."""
    try:
        return ensure_pulumi(layout.root, os.environ, Console(sys.stderr))
    except SetupError as error:
        raise SetupFailed(str(error)) from None
    except OSError as error:
        raise SetupFailed(
            f"the Pulumi CLI cannot be stored: {error.filename}: {error.strerror}. Free the disk, "
            "or name another folder in SKYFLEET_CACHE."
        ) from None


def pulumi_environment(layout: Layout, cli: Cli, providers: str | None) -> dict[str, str]:
    """The variables that `skyfleet env` prints. providers: `aws:PORT,...` of a running emulator."""
    found = pulumi_variables(
        layout,
        pulumi_path=cli.path,
        venv_bin=Path(sys.executable).parent,
        providers=providers,
        environ=os.environ,
    )
    return {**found, **uv_environment(os.environ, read_configs(os.environ))}


def pulumi_runner(layout: Layout, cli: Cli, providers: str | None) -> PulumiRunner:
    """The Pulumi CLI with the environment of the emulator's stack."""
    return PulumiRunner(
        cli.program, layout.root, {**os.environ, **pulumi_environment(layout, cli, providers)}
    )


def require_outputs(layout: Layout, stack: str | None = None) -> Outputs:
    """The outputs of a deployed stack. stack: None means the emulator's. Raises NotDeployed."""
    if stack is not None and is_real(stack):
        return real_outputs(stack, layout, pulumi_cli(layout), os.environ)
    if not layout.checkpoint.exists():
        raise NotDeployed

    def checked_runner() -> PulumiRunner:
        check_state(layout)
        return pulumi_runner(layout, pulumi_cli(layout), None)

    found = read_outputs(layout, checked_runner)
    if not found.router_urls:
        raise NotDeployed("nothing is up (a deployment began and did not end): run `make up`")
    return found


def require_emulator(layout: Layout) -> EmulatorInfo:
    """The running emulator. Raises NotDeployed, or EmulatorFailed if it ran before."""
    info = running(layout)
    if info is not None:
        return info
    if layout.checkpoint.exists() or layout.emulator_file.exists():
        raise EmulatorFailed(
            "the emulated clouds are not running (stopped or killed). `make up` starts them again as they "
            "were, without a new deployment"
        )
    raise NotDeployed
