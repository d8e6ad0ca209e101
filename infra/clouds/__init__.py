"""The three clouds behind one door; a cloud's SDK is loaded only when a stack uses it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from infra.contract import Fleet, FunctionEndpoint, FunctionSpec, Place
from infra.google import Google
from infra.settings import Settings

Deploy = Callable[[FunctionSpec], FunctionEndpoint]


def prepare(fleet: Fleet, settings: Settings) -> dict[Place, Deploy]:
    """Creates what the functions of each place share and returns what deploys a function there."""
    elsewhere = {place: _prepare(fleet, place, settings) for place in settings.places if place.cloud != "gcp"}
    on_google = [place for place in settings.places if place.cloud == "gcp"]
    if settings.google and on_google:
        elsewhere |= _on_google(fleet, on_google, settings.google)
    return elsewhere


def _on_google(fleet: Fleet, places: Sequence[Place], google: Google) -> dict[Place, Deploy]:
    """Its regions share a project, and the services that are switched on there."""
    from infra.clouds import gcp
    from infra.foundations.gcp import Foundation, Project

    project = Project(fleet, google.project)

    def at(place: Place) -> Deploy:
        foundation = Foundation(fleet, place, project)
        return lambda spec: gcp.Function(spec, foundation, google).endpoint

    return {place: at(place) for place in places}


def _prepare(fleet: Fleet, place: Place, settings: Settings) -> Deploy:
    match place.cloud:
        case "aws":
            from infra.clouds import aws
            from infra.foundations.aws import Foundation as OnAmazon

            amazon = OnAmazon(fleet, place)
            return lambda spec: aws.Function(spec, amazon, settings.amazon).endpoint
        case "azure":
            from infra.clouds import azure
            from infra.foundations.azure import Foundation as OnMicrosoft

            today, protected = datetime.now(UTC).date(), settings.purge_protection
            microsoft = OnMicrosoft(fleet, place, today, purge_protection=protected)
            return lambda spec: azure.Function(spec, microsoft).endpoint
        case "gcp":
            raise ValueError(f"{place} is prepared with its project")
