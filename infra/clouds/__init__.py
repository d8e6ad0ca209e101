"""The three clouds behind one door; a cloud's SDK is loaded only when a stack uses it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from infra.contract import Fleet, FunctionEndpoint, FunctionSpec, Place
from infra.settings import Settings

Deploy = Callable[[FunctionSpec], FunctionEndpoint]


def prepare(fleet: Fleet, place: Place, settings: Settings) -> Deploy:
    """Creates what the functions of one place share and returns what deploys a function there."""
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
            from infra.clouds import gcp
            from infra.foundations.gcp import Foundation as OnGoogle

            google = OnGoogle(fleet, place, settings.project or "")
            return lambda spec: gcp.Function(spec, google).endpoint
