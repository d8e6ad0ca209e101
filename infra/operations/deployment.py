"""Deploy the stack of the emulator with Pulumi: recover what a killed one left, deploy, and say what failed.

`skyfleet up` and the manager's jobs deploy with it. A cloud whose management API is down is left out, and the
other clouds are deployed.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from infra.operations import json_access
from infra.operations.context import pulumi_cli, pulumi_runner, require_outputs
from infra.operations.emulator.lifecycle import child_environment, ensure_running
from infra.operations.emulator.start_failures import log_sizes, start_failures
from infra.operations.errors import (
    CommandFailed,
    DeploymentStopped,
    PartlyDeployed,
    PulumiFailed,
    PulumiKilled,
)
from infra.operations.halfway import now_running
from infra.operations.paths import STACK, Layout
from infra.operations.progress import Progress, step
from infra.operations.routers.client import get_builds
from infra.operations.stack.outputs import Outputs
from infra.operations.stack.preflight import build_packages, check_disk_space, read_settings
from infra.operations.stack.pulumi_lines import diagnostics, outages, waiting
from infra.operations.stack.pulumi_lines import step as parse_step
from infra.operations.stack.recovery import check_state, release_stale_lock, unfinished_operations
from infra.operations.stack.runner import PulumiRunner
from infra.operations.stack.state import has_deployed

if TYPE_CHECKING:
    from infra.config.model import Place, Settings

# The last sentence of a failed deployment.
BEFORE = "What ran before and is not named above still runs."
FIRST = "Nothing ran before; `make up` goes on with what was created, and `make down` removes it."
DISK_FULL = "no space left on device"  # as Pulumi prints it


Watch = Callable[[PulumiRunner], PulumiRunner]


def ready(
    layout: Layout, progress: Progress, environ: Mapping[str, str], watch: Watch
) -> tuple[PulumiRunner, Settings, str]:
    """Make everything ready for Pulumi; its runner, the settings, and the build of the agent.

    watch: given the runner, returns the one to use. Raises CommandFailed.
    """
    layout.home.mkdir(mode=0o700, exist_ok=True)
    layout.home.chmod(0o700)  # also if it exists: it has keys and state
    check_disk_space(layout, lambda folder: shutil.disk_usage(folder).free)
    cli = pulumi_cli(layout)
    settings = read_settings(layout)
    child = child_environment(layout, environ)
    with step(progress, "packages"):
        packages = build_packages(layout, settings, child, progress.update)
    for note in packages.notes:
        progress.message(note)
    with step(progress, "emulated clouds"):
        info = ensure_running(layout, child, progress, asdict(settings.emulator))
    return watch(pulumi_runner(layout, cli, info.providers)), settings, packages.build["agent"]


def bring_up(
    layout: Layout,
    progress: Progress,
    environ: Mapping[str, str],
    watch: Watch = lambda pulumi: pulumi,
    required: Collection[str] = (),
) -> tuple[list[str], Settings]:
    """Deploy what the stack config says; the lines that Pulumi printed, and the settings.

    The caller holds the lock of the checkout. watch: see `ready`. required: see `deploy`. Raises
    CommandFailed.
    """
    pulumi, settings, build = ready(layout, progress, environ, watch)
    with step(progress, "deployment"):
        prepare_stack(layout, pulumi, progress)
        printed = deploy(layout, settings, pulumi, progress, build, required)
    return printed, settings


def prepare_stack(layout: Layout, pulumi: PulumiRunner, progress: Progress) -> None:
    """Make the stack ready: its state, its lock, and what an interrupted deployment left. Raises
    CommandFailed."""
    layout.state.mkdir(parents=True, exist_ok=True)
    layout.up_log.parent.mkdir(parents=True, exist_ok=True)
    layout.up_log.write_text("")
    release_stale_lock(layout, pulumi, progress.message)
    check_state(layout)
    if not layout.checkpoint.exists():
        pulumi.capture("stack", "select", STACK, "--create")
    if unfinished := unfinished_operations(layout):
        progress.message(
            f"an earlier deployment was cut off in the middle ({', '.join(unfinished)}): "
            "refreshing its state from the clouds"
        )
        output = PulumiOutput(progress, has_deployed(layout.checkpoint))
        refresh = ("refresh", "--yes", "--skip-preview", "--clear-pending-creates", "--stack", STACK)
        code = pulumi.stream(*refresh, log=layout.up_log, on_line=output.line, on_stop=output.stop)
        output.conclude(code, layout, "the state could not be refreshed from the clouds")


def deploy(
    layout: Layout,
    settings: Settings,
    pulumi: PulumiRunner,
    progress: Progress,
    build: str,
    required: Collection[str] = (),
) -> list[str]:
    """Deploy all clouds, or those whose management API answers. build: of the agent. required: clouds that
    are not left out.

    The failed ones show up one after the other, since each provider retries for a time of its own.
    """
    down: dict[str, str] = {}
    before, logged = _deployed_before(layout), log_sizes(layout.logs)
    deployed = has_deployed(layout.checkpoint)
    while True:
        output = PulumiOutput(progress, deployed)
        without = [part for cloud in down for part in ("--exclude", f"**skyfleet:{cloud}:**")]
        up = ("up", "--yes", "--skip-preview", *without, "--stack", STACK)
        code = pulumi.stream(*up, log=layout.up_log, on_line=output.line, on_stop=output.stop)
        more = {} if code <= 0 or output.stopped else outages(output.lines)
        if (
            not more
            or not worth_deploying(settings.routers, down | more)
            or not more.keys().isdisjoint(required)
        ):
            break
        down |= more
        progress.message(f"{_describe(more)}. Deploying to the other clouds")
    try:
        output.conclude(code, layout, "the deployment failed")
    except PulumiFailed as failed:
        if isinstance(failed, DeploymentStopped | PulumiKilled):
            raise
        first = start_failures(layout.logs, logged)
        raise PulumiFailed("\n".join([*first, failed.message + _now_running(before, build)])) from None
    if down:
        raise PartlyDeployed(
            f"not deployed: {_describe(down)}.\n"
            "The other clouds are deployed, and the router runs with them: "
            f"{require_outputs(layout).router_urls[0]}\nOnce the API answers, `make up` deploys the rest.",
            down,
        )
    return output.lines


def worth_deploying(routers: Sequence[Place], down: Collection[str]) -> bool:
    """Whether a fleet without the clouds `down` has a router, and so an agent in the same cloud."""
    return any(place.cloud not in down for place in routers)


def _describe(down: Mapping[str, str]) -> str:
    return "; ".join(f"{cloud}: {reason}" for cloud, reason in down.items())


@dataclass(slots=True)
class PulumiOutput:
    """Shows the progress of Pulumi line by line, and raises its error at the end.

    before: whether any function was deployed before.
    """

    progress: Progress
    before: bool
    lines: list[str] = field(default_factory=list[str])
    stopped: bool = False

    def line(self, text: str) -> None:
        self.lines.append(text)
        if reason := waiting(text):
            self.progress.message(reason)
        if (done := parse_step(text)) is not None:
            self.progress.operation(str(done), f"{done.what} {done.type} {done.name}")

    def stop(self) -> None:
        self.stopped = True
        print("stopping: Pulumi ends what it is doing; Ctrl-C again stops at once", file=sys.stderr)

    def conclude(self, code: int, layout: Layout, what: str) -> None:
        if self.stopped:
            raise DeploymentStopped(
                "stopped by you in the middle of the deployment; `make up` goes on from here"
            )
        if code < 0:
            raise PulumiKilled(
                f"{what}: Pulumi was ended by signal {-code}; `make up` again recovers and goes on"
            )
        if code != 0:
            errors = "\n".join(diagnostics(self.lines))
            if any(DISK_FULL in line for line in self.lines):
                errors += "\nThe disk is full: free it, then run `make up` again."
            raise PulumiFailed(
                f"{what} (pulumi ended with {code}):\n{errors}\nAll of it: {layout.shown(layout.up_log)}. "
                f"{BEFORE if self.before else FIRST}"
            )


def _deployed_before(layout: Layout) -> Outputs | None:
    """The outputs of the deployment before this one, which replaces them even if it fails."""
    try:
        return require_outputs(layout) if has_deployed(layout.checkpoint) else None
    except CommandFailed:
        return None


def _now_running(before: Outputs | None, new: str) -> str:
    """A line about what runs where after a failure; empty if nothing was deployed before."""
    if before is None:
        return ""
    former = json_access.string(json_access.as_object(before.all.get("build")).get("agent"))
    return f"\n{now_running(before.target_keys, get_builds(before.agent_urls), former, new)}"
