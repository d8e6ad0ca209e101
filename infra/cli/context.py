"""What most commands need: where we are, what is up, the engine with its environment."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import click

from infra.cli.emulator.admin import EmulatorInfo
from infra.cli.emulator.daemon import running
from infra.cli.errors import EmulatorFailed, NotDeployed, SetupFailed
from infra.cli.paths import Layout
from infra.cli.stack.environment import pulumi_variables
from infra.cli.stack.option import is_real
from infra.cli.stack.outputs import Outputs, read
from infra.cli.stack.real import real_outputs
from infra.cli.stack.recovery import check_state
from infra.cli.stack.runner import PulumiRunner
from infra.setup.errors import SetupError
from infra.setup.paths import ROOT
from infra.setup.pip_settings import read_configs, uv_environment
from infra.setup.progress import Console
from infra.setup.pulumi.choose import ensure_pulumi
from infra.setup.pulumi.cli import Cli

json_option: Callable[[Callable[..., None]], Callable[..., None]] = click.option(
    "--json", "as_json", is_flag=True, help="Print JSON for programs."
)


def layout() -> Layout:
    """Of the checkout whose sources are running; a caller may hand another one to click as its `obj`."""
    return click.get_current_context().find_object(Layout) or Layout(ROOT)


def pulumi_cli(place: Layout) -> Cli:
    """The Pulumi CLI, made if need be; its own progress goes to stderr."""
    try:
        return ensure_pulumi(place.root, os.environ, Console(sys.stderr))
    except SetupError as error:
        raise SetupFailed(str(error)) from None
    except OSError as error:
        raise SetupFailed(
            f"the Pulumi CLI cannot be kept: {error.filename}: {error.strerror}. Free the disk, "
            "or name another folder in SKYFLEET_CACHE."
        ) from None


def variables(place: Layout, cli: Cli, providers: str | None) -> dict[str, str]:
    """What `skyfleet env` prints and what our own Pulumi runs with."""
    told = pulumi_variables(
        place,
        pulumi_path=cli.path,
        venv_bin=Path(sys.executable).parent,
        providers=providers,
        environ=os.environ,
    )
    return {**told, **uv_environment(os.environ, read_configs(os.environ))}


def engine(place: Layout, cli: Cli, providers: str | None) -> PulumiRunner:
    """The CLI with the environment of this stack."""
    return PulumiRunner(cli.program, place.root, {**os.environ, **variables(place, cli, providers)})


def require_outputs(place: Layout, stack: str | None = None) -> Outputs:
    """The deployed stack's outputs; NothingUp when nothing has been deployed. stack: None: the emulator's."""
    if stack is not None and is_real(stack):
        return real_outputs(stack, place, pulumi_cli(place), os.environ)
    if not place.checkpoint.exists():
        raise NotDeployed

    def made() -> PulumiRunner:
        check_state(place)
        return engine(place, pulumi_cli(place), None)

    found = read(place, made)
    if not found.router_urls:
        raise NotDeployed("nothing is up (a deployment was begun and did not end well): run `make up`")
    return found


def require_emulator(place: Layout) -> EmulatorInfo:
    """The running daemon; says whether it never ran or was killed."""
    note = running(place)
    if note is not None:
        return note
    if place.checkpoint.exists() or place.emulator_file.exists():
        raise EmulatorFailed(
            "the emulated clouds are not running (stopped or killed): run `make up`; it starts them "
            "again as they were, without a new deployment"
        )
    raise NotDeployed
