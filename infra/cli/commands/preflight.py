"""`skyfleet preflight`: the accounts of a stack, and what would make its deployment fail.

The checks are those of the Pulumi program before its first resource (infra/preflight). Here the program runs
once for each cloud and ends after them. `pulumi preview` starts the cloud's provider as a deployment does,
and a provider that fails, as with an expired login, does not hide the results of the others.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from infra.cli.context import current_layout, json_option
from infra.operations import json_access
from infra.operations.context import pulumi_cli, pulumi_runner, require_emulator
from infra.operations.errors import CommandFailed, PulumiFailed
from infra.operations.json_access import JsonObject
from infra.operations.paths import STACK, Layout
from infra.operations.progress import make_progress, step
from infra.operations.stack import real
from infra.operations.stack.option import is_real, stack_option
from infra.operations.stack.preflight import read_config, read_settings
from infra.operations.stack.runner import PulumiRunner

if TYPE_CHECKING:
    from infra.config.model import Cloud, Settings
    from infra.preflight.findings import Finding

GCLOUD_S = 60.0  # it may be slow to start


@click.command("preflight")
@stack_option
@json_option
def command(stack: str | None, as_json: bool) -> None:
    """Ask the clouds whether the stack can be deployed. Nothing is created."""
    layout, name = current_layout(), stack or STACK
    settings = read_settings(layout, name)
    _require_shell(settings)
    progress = make_progress()
    pulumi = _runner(layout, stack)
    reports: list[JsonObject] = []
    for cloud in settings.clouds:
        with step(progress, f"asking {cloud}"):
            try:
                reports.append(_check_cloud(pulumi, name, cloud))
            except StackUnreadable as error:
                reports = [_without_providers(error.finding, settings, read_config(layout, name))]
                break
    if not settings.emulated and (found := _check_org_policy(settings)):
        reports.append(found)
    facts: JsonObject = {
        "stack": name,
        "accounts": {
            key: value for one in reports for key, value in json_access.as_object(one["accounts"]).items()
        },
        # Each cloud's report has what is not of a cloud.
        "stops": list(dict.fromkeys(line for one in reports for line in json_access.strings(one["stops"]))),
        "notes": list(dict.fromkeys(line for one in reports for line in json_access.strings(one["notes"]))),
    }
    click.echo(json.dumps(facts, indent=2) if as_json else sentence(facts))
    if facts["stops"]:
        raise click.exceptions.Exit(1)


def sentence(facts: JsonObject) -> str:
    """The report for a person: accounts, notes, and what would stop the deployment."""
    stops, notes = json_access.strings(facts.get("stops")), json_access.strings(facts.get("notes"))
    accounts = json_access.as_object(facts.get("accounts"))
    lines = [f"{cloud:7}{account}" for cloud, account in accounts.items()]
    verdict = f"`pulumi up --stack {facts['stack']}` can start."
    if stops:
        verdict = f"A deployment of {facts['stack']} would fail:"
    noted = ["Worth knowing:", *(f"  - {note}" for note in notes)] if notes else []
    return "\n".join([*lines, *noted, verdict, *(f"  - {stop}" for stop in stops)])


def _check_org_policy(settings: Settings) -> JsonObject | None:
    """The finding about Google's organization policy, from `gcloud`, if the stack needs public functions."""
    from infra.preflight.findings import CloudError, Report
    from infra.preflight.org_policy import check

    def run(command: Sequence[str]) -> str:
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=GCLOUD_S, check=True)
        except subprocess.CalledProcessError as error:
            raise CloudError(str(error.stderr)) from None
        except (OSError, subprocess.TimeoutExpired) as error:
            raise CloudError(str(error)) from None
        return done.stdout

    if settings.gcp is None or not settings.gcp.public:
        return None
    finding = check(settings.gcp.project, run)
    return None if finding is None else Report({}, (finding,)).facts


def _require_shell(settings: Settings) -> None:
    from infra.preflight.shell import wrong_shell

    # For the emulator this command sets the environment; a real stack is deployed to where the shell points.
    if settings.emulated:
        return
    if found := wrong_shell(settings.stack, settings.clouds, os.environ, emulated=False):
        raise CommandFailed("\n".join(finding.line for finding in found))


def _runner(layout: Layout, stack: str | None) -> PulumiRunner:
    cli = pulumi_cli(layout)
    if stack is not None and is_real(stack):
        return PulumiRunner(cli.program, layout.root, real.environment(cli, os.environ))
    return pulumi_runner(layout, cli, require_emulator(layout).providers)


class StackUnreadable(Exception):
    """Pulumi cannot read the stack, so no cloud can be checked."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.line)
        self.finding = finding


def _without_providers(finding: Finding, settings: Settings, config: JsonObject) -> JsonObject:
    """A report without providers: why none was started, and which clouds have no credential."""
    from infra.preflight.credentials import CredentialSources, metadata_answers, without_credential
    from infra.preflight.findings import Report

    home = Path(os.environ.get("HOME") or Path.home())
    missing = without_credential(
        settings.clouds, CredentialSources(config, os.environ, home, metadata_answers)
    )
    return Report({}, (finding, *missing.values())).facts


def _check_cloud(pulumi: PulumiRunner, stack: str, cloud: Cloud) -> JsonObject:
    """The report of one cloud; if the program ended without one, the error of Pulumi."""
    from infra.preflight import ONLY, REPORT
    from infra.preflight.backend import unreadable

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "report.json"
        environ = {**pulumi.environ, REPORT: str(path), ONLY: cloud}
        try:
            PulumiRunner(pulumi.program, pulumi.root, environ).capture("preview", "--stack", stack)
            printed = "it wrote no report"
        except PulumiFailed as failed:
            printed = failed.message
        report = json_access.as_object(json_access.parse(path.read_text())) if path.exists() else {}
    if "stops" in report:
        return report
    if finding := unreadable(printed, stack):
        raise StackUnreadable(finding)
    return {"accounts": {}, "stops": [f"{cloud}: {_short(printed)}"], "notes": []}


def _short(printed: str) -> str:
    """An error of Pulumi in one line, without warnings and retries."""
    from infra.preflight.findings import words

    lines = (line for line in printed.splitlines() if not re.search(r"\bwarning: |\bWill retry in ", line))
    return words(" ".join(lines))
