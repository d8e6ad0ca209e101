"""Where the clouds keep the logs of a stack on real accounts, and the vendor's command that shows them.

The rule of this file: pure. Names are made by the functions that the program makes them with; a test holds
them against what the program registers. Sources: `aws logs tail`, `gcloud functions logs read --gen2`,
`az monitor app-insights query` in the vendors' command references. On Azure each health check is a request
with `url` and `resultCode` (Application Insights' data model of request telemetry); successful ones are left
out.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from infra.config.model import Place, Settings
from infra.names import fit, regional_name

QUERY = (
    "union traces, exceptions, (requests | where not(url endswith '/health' and resultCode startswith '2')) "
    "| where cloud_RoleName startswith '{name}' "
    "| order by timestamp desc | take 50"
)


@dataclass(frozen=True, slots=True)
class LogLocation:
    """The log of a function. place: where it is kept. command: shows it."""

    function: str
    place: str
    command: str


def log_locations(settings: Settings, clouds: Sequence[str], role: str | None) -> list[LogLocation]:
    """The logs of the functions in `clouds`. role: None means all roles."""
    roles = {"agent": settings.places, "router": settings.routers, "checker": settings.checkers}
    return [
        _log(settings, place, name)
        for name, places in roles.items()
        if role in (None, name)
        for place in places
        if place.cloud in clouds
    ]


def _log(settings: Settings, place: Place, role: str) -> LogLocation:
    name, label = f"{settings.prefix}-{role}", f"{role} on {place}"
    match place.cloud:
        case "aws":
            group = f"/aws/lambda/{name}"
            command = f"aws logs tail {group} --region {place.region} --since 15m"
            return LogLocation(label, f"CloudWatch log group {group}", f"{command} --follow")
        case "azure":
            insights = regional_name(settings.prefix, "insights", place.region, 255)
            group = regional_name(settings.prefix, "fleet", place.region, 90)
            query = shlex.quote(QUERY.format(name=name))
            command = f"az monitor app-insights query --app {insights} --resource-group {group}"
            kept = f"Application Insights {insights} in resource group {group}"
            return LogLocation(label, kept, f"{command} --analytics-query {query}")
        case "gcp":
            function = fit(name, 63)
            command = f"gcloud functions logs read {function} --gen2 --region {place.region}"
            kept = f"Cloud Logging, Cloud Run service {function}"
            return LogLocation(label, kept, f"{command} --project {settings.project} --limit 50")
