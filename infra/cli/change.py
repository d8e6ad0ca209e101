"""What `skyfleet create` and `skyfleet delete` share: ask the manager for a change and follow its job.

Ctrl-C cancels the job and goes on following it; a second one leaves the job to itself.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping

import click

from infra.cli.context import current_layout
from infra.cli.output.job_progress import Shown, closing, showing
from infra.operations import json_access
from infra.operations.manager.client import Client, find


def run(
    method: str, path: str, body: Mapping[str, object], *, stack: str | None, preview: bool, as_json: bool
) -> None:
    """Carry out a change. Exit code 1 when its job does not end as done."""
    client = find(current_layout(), stack, os.environ)
    job = client.change(method, path, body, preview=preview)
    verb = f"{method} {path}".lower().partition("-")[0].rpartition("/")[2]
    title = f"{'preview of ' if preview else ''}{verb} {body['cloud']}/{body['region']}"
    with showing(title) as shown:
        shown.say(f"job {job}: {title}")
        follow(client, job, shown)
    final = client.job(job)
    click.echo(json.dumps(final, indent=2) if as_json else closing(final))
    if json_access.string(final.get("state")) != "done":
        raise click.exceptions.Exit(1)


def follow(client: Client, job: str, shown: Shown) -> None:
    """Show the events of a job until it has ended."""
    seen, cancelled = 0, False
    while True:
        try:
            for event in client.follow(job, seen):
                seen = int(json_access.number(event.get("number")) or seen)
                shown.event(event)
            return
        except KeyboardInterrupt:
            if cancelled:
                shown.say(f"left to itself; its state: {client.url}/api/jobs/{job}")
                raise click.exceptions.Exit(130) from None
            cancelled = True
            shown.say(client.cancel(job))
