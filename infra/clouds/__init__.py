"""The three clouds behind one door; a cloud's SDK is loaded only when a stack uses it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from infra.component import Fleet, FunctionEndpoint, FunctionSpec
from infra.config.model import GcpSettings, Place, Settings

Deploy = Callable[[FunctionSpec], FunctionEndpoint]


def prepare(fleet: Fleet, settings: Settings) -> dict[Place, Deploy]:
    """Creates what the functions of each place share and returns what deploys a function there."""
    elsewhere = {place: _prepare(fleet, place, settings) for place in settings.places if place.cloud != "gcp"}
    on_google = [place for place in settings.places if place.cloud == "gcp"]
    if settings.gcp and on_google:
        elsewhere |= _on_google(fleet, on_google, settings.gcp)
    return elsewhere


def _on_google(fleet: Fleet, places: Sequence[Place], google: GcpSettings) -> dict[Place, Deploy]:
    """Its regions share a project, and the services that are switched on there."""
    from infra.clouds.gcp import function
    from infra.clouds.gcp.region import Project, RegionBase

    project = Project(fleet, google.project)

    def at(place: Place) -> Deploy:
        foundation = RegionBase(fleet, place, project)
        return lambda spec: function.Function(spec, foundation, google).endpoint

    return {place: at(place) for place in places}


def _prepare(fleet: Fleet, place: Place, settings: Settings) -> Deploy:
    match place.cloud:
        case "aws":
            from infra.clouds.aws import function
            from infra.clouds.aws.region import RegionBase as OnAmazon

            amazon = OnAmazon(fleet, place)
            return lambda spec: function.Function(spec, amazon, settings.aws).endpoint
        case "azure":
            from infra.clouds.azure import function
            from infra.clouds.azure.region import RegionBase as OnMicrosoft

            today, protected = datetime.now(UTC).date(), settings.purge_protection
            microsoft = OnMicrosoft(fleet, place, today, purge_protection=protected)
            return lambda spec: function.Function(spec, microsoft).endpoint
        case "gcp":
            raise ValueError(f"{place} is prepared with its project")
