"""What deploys a function in each region of a stack. A cloud's SDK is imported only if the stack uses it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from infra.component import Fleet, FunctionEndpoint, FunctionSpec
from infra.config.model import GcpSettings, Place, Settings

Deploy = Callable[[FunctionSpec], FunctionEndpoint]


def prepare(fleet: Fleet, settings: Settings) -> dict[Place, Deploy]:
    """Create what the functions of each place share. Returns the function that deploys one there."""
    deploys = {place: _prepare(fleet, place, settings) for place in settings.places if place.cloud != "gcp"}
    on_google = [place for place in settings.places if place.cloud == "gcp"]
    if settings.gcp and on_google:
        deploys |= _on_google(fleet, on_google, settings.gcp)
    return deploys


def _on_google(fleet: Fleet, places: Sequence[Place], google: GcpSettings) -> dict[Place, Deploy]:
    """Google's regions share a project and the services that are enabled in it."""
    from infra.clouds.gcp import function
    from infra.clouds.gcp.region import Project, RegionBase

    project = Project(google.project)

    def at(place: Place) -> Deploy:
        region = RegionBase(fleet, place, project)
        return lambda spec: function.Function(spec, region, google).endpoint

    return {place: at(place) for place in places}


def _prepare(fleet: Fleet, place: Place, settings: Settings) -> Deploy:
    match place.cloud:
        case "aws":
            from infra.clouds.aws import function
            from infra.clouds.aws.region import RegionBase as AmazonRegion

            amazon = AmazonRegion(fleet, place)
            return lambda spec: function.Function(spec, amazon, settings.aws).endpoint
        case "azure":
            from infra.clouds.azure import function
            from infra.clouds.azure.region import RegionBase as MicrosoftRegion

            today, protected = datetime.now(UTC).date(), settings.purge_protection
            microsoft = MicrosoftRegion(fleet, place, today, purge_protection=protected)
            return lambda spec: function.Function(spec, microsoft).endpoint
        case "gcp":
            raise ValueError(f"{place} is prepared with its project")
