"""`skyfleet chaos`: inject a fault into an emulated cloud, or heal it."""

from __future__ import annotations

import json

import click

from infra.cli.context import current_layout, json_option
from infra.cli.output.status_view import emulator_summary
from infra.operations import json_access
from infra.operations.context import require_emulator
from infra.operations.emulator.admin import call
from infra.operations.emulator.faults import (
    API,
    API_S,
    GRAMMAR,
    HEAL,
    NOTES,
    SCOPES,
    active_faults,
    check_cloud,
    check_fault,
    check_order,
    manual_change,
)
from infra.operations.stack.option import emulator_only


@click.command("chaos", epilog=f"FAULT: {GRAMMAR}. {NOTES}")
@click.argument("cloud")
@click.argument("fault")
@click.option(
    "--scope",
    type=click.Choice(SCOPES),
    default="agents",
    show_default=True,
    help="The functions that it affects.",
)
@emulator_only("Only the emulator injects faults.")
@json_option
def command(cloud: str, fault: str, scope: str, as_json: bool) -> None:
    """Inject FAULT into CLOUD (aws, azure, gcp), or `heal` it."""
    check_order(cloud, fault)
    check_cloud(cloud)
    check_fault(fault)
    info = require_emulator(current_layout())
    if fault == HEAL:
        call(info, "DELETE", f"/v1/faults?cloud={cloud}")
    elif (change := manual_change(cloud, fault)) is not None:
        done = call(info, "POST", "/v1/drift", change)
        click.echo(json.dumps(done, indent=2) if as_json else _repair_advice(done))
        return
    elif fault.startswith(f"{API}:"):
        body = {"cloud": cloud, "status": int(fault.partition(":")[2]), "seconds": API_S}
        call(info, "PUT", "/v1/outages", body)
        scope = "the management API"
    else:
        call(info, "POST", "/v1/faults", {"cloud": cloud, "fault": fault, "scope": scope})
    faults = json_access.objects(emulator_summary(call(info, "GET", "/v1/status"), info.python)["faults"])
    if as_json:
        click.echo(json.dumps({"faults": faults}, indent=2))
        return
    if fault == HEAL:
        click.echo(f"{cloud} is healed; `skyfleet status` shows how its traffic comes back.")
    else:
        click.echo(f"{cloud}: {fault} on {scope}. To end it: skyfleet chaos {cloud} heal")
    click.echo(active_faults(faults))


def _repair_advice(done: json_access.JsonObject) -> str:
    verb, key = next(iter(done.items()))
    return (
        f'{verb} by hand: {key}. After `eval "$(.venv/bin/skyfleet env)"`, `pulumi preview --refresh` shows '
        "the difference and `pulumi up --refresh` repairs it."
    )
