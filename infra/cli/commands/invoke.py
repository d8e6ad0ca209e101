"""`skyfleet invoke`: one call of the agent through the first router that answers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from infra.cli.context import current_layout, json_option
from infra.cli.output.invoke_format import answer_text, body_for, event_text, reply_line, stream_problem
from infra.operations import json_access
from infra.operations.context import require_outputs
from infra.operations.errors import CommandFailed
from infra.operations.routers.client import auth_header, call_first
from infra.operations.routers.sse import Event, events
from infra.operations.stack.option import deploy_command, stack_option
from skyfleet.event_reader import EventTooLarge

if TYPE_CHECKING:
    import requests


@click.command("invoke")
@click.argument("text")
@click.option(
    "--path", default="/invoke", show_default=True, help="Path to post to, such as /v1/chat/completions."
)
@click.option("--stream", is_flag=True, help="Ask for a stream and print it as it arrives.")
@stack_option
@json_option
def command(text: str, path: str, stream: bool, stack: str | None, as_json: bool) -> None:
    """Send TEXT to the agent and print its answer."""
    if not text.strip():
        raise click.UsageError('TEXT is empty; write a task for the agent, such as "what is 12 * (3 + 4)?".')
    outputs = require_outputs(current_layout(), stack)
    path = path if path.startswith("/") else f"/{path}"
    headers = {
        **auth_header(outputs.api_key),
        "accept": "text/event-stream" if stream else "application/json",
    }
    body, repair = body_for(path, text, stream=stream), deploy_command(stack)
    with call_first(outputs.router_urls, path, body, headers, repair=repair) as (url, reply, skipped):
        for problem in skipped:
            click.echo(f"skipped {problem}", err=True)
        if stream and reply.ok:
            _show_stream(url, reply, as_json=as_json)
        else:
            _show_reply(url, reply, as_json=as_json)


def _show_reply(url: str, reply: requests.Response, *, as_json: bool) -> None:
    body = reply.text
    if as_json:
        parsed = json_access.parse(body)
        shown = {**_metadata(url, reply), "reply": body if parsed is None else parsed}
        click.echo(json.dumps(shown, indent=2))
    elif reply.ok:
        click.echo(answer_text(body))
        click.echo(reply_line(url, reply.status_code, reply.headers), err=True)
    if not reply.ok:
        raise CommandFailed(f"{reply_line(url, reply.status_code, reply.headers)}\n{answer_text(body)}")


def _show_stream(url: str, reply: requests.Response, *, as_json: bool) -> None:
    import requests

    seen: list[Event] = []
    try:
        for event in events(reply.iter_content(chunk_size=None)):
            seen.append(event)
            if as_json:
                click.echo(
                    json.dumps({"event": event.name, "data": json_access.parse(event.data) or event.data})
                )
            else:
                click.echo(event_text(event), nl=False)
    except (requests.RequestException, EventTooLarge) as error:
        raise CommandFailed(
            f"{reply_line(url, reply.status_code, reply.headers)}\nthe stream broke: {type(error).__name__}"
        ) from None
    if as_json:
        click.echo(json.dumps(_metadata(url, reply)))
    else:
        click.echo()
        click.echo(reply_line(url, reply.status_code, reply.headers), err=True)
    if problem := stream_problem(seen):
        raise CommandFailed(problem)


def _metadata(url: str, reply: requests.Response) -> json_access.JsonObject:
    attempts = reply.headers.get("x-skyfleet-attempts", "")
    return {
        "status": reply.status_code,
        "router": url,
        "target": reply.headers.get("x-skyfleet-target"),
        "attempts": int(attempts) if attempts.isdigit() else None,
    }
