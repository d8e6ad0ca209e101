"""What must be true before anything is created, asked before the first resource is registered.

aim          is the shell aimed where the stack says (pure)
backend      can Pulumi read the stack at all (pure)
credentials  is there a credential for each cloud (pure)
amazon, microsoft, google   what is asked of an account, and what an answer means (pure)
organisation  whether an organisation lets functions be open to all (pure)
asking       the questions themselves, put through the providers
rename       would all be replaced under other names (pure)
findings     what is told: one line each, with the command that mends it

All that is found is told at once. `skyfleet preflight` runs this program for one cloud after the other and
ends it here, so that a provider that fails by itself hides nothing of the others.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from infra.config.model import CLOUDS, Cloud, Settings
from infra.errors import PreflightError
from infra.preflight import aws, azure, gcp, provider_calls, rename
from infra.preflight.credentials import CredentialSources, metadata_answers, without_credential
from infra.preflight.findings import Report
from infra.preflight.shell import wrong_shell

# Where `skyfleet preflight` wants the report, and of which clouds.
REPORT, ONLY = "SKYFLEET_PREFLIGHT_REPORT", "SKYFLEET_PREFLIGHT_CLOUDS"


class ReportWritten(Exception):
    """The report is written; nothing is to be deployed."""


def require_shell(settings: Settings, environ: Mapping[str, str]) -> None:
    """PreflightError when the shell is aimed elsewhere than the stack says."""
    if found := wrong_shell(settings.stack, settings.clouds, environ, emulated=settings.emulated):
        raise PreflightError([finding.line for finding in found])


def require_accounts(settings: Settings, config: Mapping[str, object], environ: Mapping[str, str]) -> Report:
    """What is known of the accounts; PreflightError with all that would make the deployment fail.

    Ended when only the report was asked for.
    """
    chosen: list[Cloud] = [
        cloud for cloud in settings.clouds if cloud in environ.get(ONLY, ",".join(CLOUDS)).split(",")
    ]
    missing = {} if settings.emulated else without_credential(chosen, _surroundings(config, environ))
    asked = [ask(settings, cloud) for cloud in chosen if cloud not in missing]
    renamed = rename.check(settings, provider_calls.deployed(rename.OUTPUT))
    report = Report.of([Report({}, renamed + tuple(missing.values())), *asked])
    if path := environ.get(REPORT):
        Path(path).write_text(json.dumps(report.facts))
        raise ReportWritten
    if report.stops:
        raise PreflightError(report.stops)
    for finding in renamed:
        provider_calls.warn(finding.line)
    return report


def ask(settings: Settings, cloud: Cloud) -> Report:
    """One cloud's questions."""
    match cloud:
        case "aws":
            return aws.check(settings, provider_calls.Aws())
        case "azure":
            return azure.check(settings, provider_calls.Azure())
        case "gcp":
            return gcp.check(settings, provider_calls.Gcp())


def _surroundings(config: Mapping[str, object], environ: Mapping[str, str]) -> CredentialSources:
    return CredentialSources(config, environ, Path(environ.get("HOME") or Path.home()), metadata_answers)
