"""`skyfleet preflight`: the accounts of a stack, and everything that would make its deployment fail.

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

from infra.cli import json_access
from infra.cli.context import engine, json_option, layout, pulumi_cli, require_emulator
from infra.cli.errors import CommandFailed, PulumiFailed
from infra.cli.json_access import JsonObject
from infra.cli.output.progress import progress, step
from infra.cli.paths import STACK, Layout
from infra.cli.stack import real
from infra.cli.stack.option import is_real, stack_option
from infra.cli.stack.preflight import read_config, read_settings
from infra.cli.stack.runner import PulumiRunner

if TYPE_CHECKING:
    from infra.config.model import Cloud, Settings
    from infra.preflight.findings import Finding

GCLOUD_S = 60.0  # it may be slow to start


@click.command("preflight")
@stack_option
@json_option
def command(stack: str | None, as_json: bool) -> None:
    """Ask the clouds whether the stack can be deployed. Nothing is created."""
    place, name = layout(), stack or STACK
    settings = read_settings(place, name)
    _require_shell(settings)
    shown = progress()
    pulumi = _engine(place, stack)
    reports: list[JsonObject] = []
    for cloud in settings.clouds:
        with step(shown, f"asking {cloud}"):
            try:
                reports.append(_ask(pulumi, name, cloud))
            except StackUnreadable as error:
                reports = [_without_providers(error.finding, settings, read_config(place, name))]
                break
    if not settings.emulated and (found := _check_org_policy(settings)):
        reports.append(found)
    facts: JsonObject = {
        "stack": name,
        "accounts": {
            key: value for one in reports for key, value in json_access.as_object(one["accounts"]).items()
        },
        "stops": [line for one in reports for line in json_access.strings(one["stops"])],
        "notes": [line for one in reports for line in json_access.strings(one["notes"])],
    }
    click.echo(json.dumps(facts, indent=2) if as_json else sentence(facts))
    if facts["stops"]:
        raise click.exceptions.Exit(1)


def sentence(facts: JsonObject) -> str:
    """For a person: accounts, notes, and what would stop the deployment."""
    stops, notes = json_access.strings(facts.get("stops")), json_access.strings(facts.get("notes"))
    accounts = [f"{cloud:7}{told}" for cloud, told in json_access.as_object(facts.get("accounts")).items()]
    verdict = f"`pulumi up --stack {facts['stack']}` can start."
    if stops:
        verdict = f"A deployment of {facts['stack']} would fail:"
    worth = ["Worth knowing:", *(f"  - {note}" for note in notes)] if notes else []
    return "\n".join([*accounts, *worth, verdict, *(f"  - {stop}" for stop in stops)])


def _check_org_policy(settings: Settings) -> JsonObject | None:
    """What only Google's own command tells, and only where the stack needs to know it."""
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

    # The command aims at the emulator by itself; a real stack goes where the shell is aimed.
    if settings.emulated:
        return
    if found := wrong_shell(settings.stack, settings.clouds, os.environ, emulated=False):
        raise CommandFailed("\n".join(finding.line for finding in found))


def _engine(place: Layout, stack: str | None) -> PulumiRunner:
    cli = pulumi_cli(place)
    if stack is not None and is_real(stack):
        return PulumiRunner(cli.program, place.root, real.environment(cli, os.environ))
    return engine(place, cli, require_emulator(place).providers)


class StackUnreadable(Exception):
    """Pulumi cannot read the stack, whatever the cloud."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.line)
        self.finding = finding


def _without_providers(finding: Finding, settings: Settings, config: JsonObject) -> JsonObject:
    """What can be told although no provider was started: why, and which clouds have no credential."""
    from infra.preflight.credentials import CredentialSources, metadata_answers, without_credential
    from infra.preflight.findings import Report

    home = Path(os.environ.get("HOME") or Path.home())
    missing = without_credential(
        settings.clouds, CredentialSources(config, os.environ, home, metadata_answers)
    )
    return Report({}, (finding, *missing.values())).facts


def _ask(pulumi: PulumiRunner, stack: str, cloud: Cloud) -> JsonObject:
    """One cloud's report; what Pulumi said when the program was ended before it had one."""
    from infra.preflight import ONLY, REPORT
    from infra.preflight.backend import unreadable

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "report.json"
        asking = {**pulumi.environ, REPORT: str(path), ONLY: cloud}
        try:
            PulumiRunner(pulumi.program, pulumi.root, asking).capture("preview", "--stack", stack)
            said = "it wrote no report"
        except PulumiFailed as failed:
            said = failed.message
        report = json_access.as_object(json_access.parse(path.read_text())) if path.exists() else {}
    if "stops" in report:
        return report
    if finding := unreadable(said, stack):
        raise StackUnreadable(finding)
    return {"accounts": {}, "stops": [f"{cloud}: {_short(said)}"], "notes": []}


def _short(said: str) -> str:
    """Pulumi's error for one line, without what it warned of and tried again on the way to it."""
    from infra.preflight.findings import words

    lines = (line for line in said.splitlines() if not re.search(r"\bwarning: |\bWill retry in ", line))
    return words(" ".join(lines))
