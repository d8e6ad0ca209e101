"""`skyfleet create`: have the manager add a target to the fleet, or change one."""

from __future__ import annotations

import math

import click

from infra.cli.change import run
from infra.cli.context import json_option
from infra.cli.place import place_argument
from infra.operations.stack.option import stack_option


@click.command("create", epilog="Example: skyfleet create aws us-east-1 --weight 1")
@place_argument
@click.option("--weight", type=float, help="Share of requests relative to the other targets.")
@click.option("--min-instances", type=int, help="Instances that are always warm.")
@click.option("--max-instances", type=int, help="Most instances at once.")
@click.option("--memory-mb", type=int, help="Memory of an instance in MB.")
@click.option("--concurrency", type=int, help="Requests at once in one instance.")
@click.option("--preview", is_flag=True, help="Only show what would be deployed.")
@stack_option
@json_option
def command(
    place: tuple[str, str], preview: bool, stack: str | None, as_json: bool, **numbers: float | None
) -> None:
    """Add the target CLOUD REGION to the fleet, or change it, and follow the deployment.

    The manager writes the stack config and deploys it. Ctrl-C cancels the deployment.
    """
    body = {"cloud": place[0], "region": place[1], **options(numbers)}
    run("POST", "/api/create-resource", body, stack=stack, preview=preview, as_json=as_json)


def options(numbers: dict[str, float | None]) -> dict[str, float]:
    """The numbers that were given, by the API's names: `min_instances` is `minInstances`.

    Raises BadParameter for NaN and infinity, which JSON cannot say (RFC 8259, section 6).
    """
    found: dict[str, float] = {}
    for name, value in numbers.items():
        if value is not None:
            if not math.isfinite(value):
                raise click.BadParameter(f"{value} is no number of JSON.", param_hint=f"--{name}")
            first, *others = name.split("_")
            found[first + "".join(word.capitalize() for word in others)] = value
    return found
