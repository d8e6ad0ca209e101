"""The last lines of a successful `up`.

The rule of this file: pure.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from infra.operations import json_access
from infra.operations.json_access import JsonObject
from infra.operations.paths import Layout

QUESTION = "what is 12 * (3 + 4)?"


def example_call(url: str, *, keyed: bool) -> str:
    """An example call for a shell: `curl`, or `skyfleet invoke` where an API key is needed."""
    if keyed:
        return f".venv/bin/skyfleet invoke {shlex.quote(QUESTION)}"
    body = shlex.quote('{"input": "' + QUESTION + '"}')
    return f"curl -s {url}/invoke -H 'content-type: application/json' -d {body}"


def changes(counts: str) -> str:
    """Pulumi's counts without unchanged resources; `no changes` when there are no others."""
    parts = [part for part in counts.split(", ") if part and not part.endswith(" unchanged")]
    return ", ".join(parts) or "no changes"


def as_json(urls: Sequence[str], counts: str, layout: Layout, manager: str = "") -> JsonObject:
    """The output of `up --json`. manager: its URL, empty when none runs."""
    return {
        "routerUrl": urls[0],
        "routerUrls": list(urls),
        "changes": changes(counts),
        "manager": {"url": manager} if manager else None,
        "logs": str(layout.logs),
    }


def closing_text(values: JsonObject, layout: Layout, *, keyed: bool) -> str:
    """The output of `up`."""
    urls = json_access.strings(values.get("routerUrls"))
    key = "\n  key      .venv/bin/skyfleet outputs apiKey --show-secrets" if keyed else ""
    page = json_access.string(json_access.as_object(values.get("manager")).get("url"))
    manager = f"\n  manager  {page}" if page else ""
    others = "".join(f"\n           {url}" for url in urls[1:])
    return (
        f"Skyfleet is up ({json_access.string(values.get('changes'))}).\n"
        f"  router   {urls[0]}{others}\n"
        f"  try      {example_call(urls[0], keyed=keyed)}{key}\n"
        f"  watch    .venv/bin/skyfleet status{manager}\n"
        f"  logs     {layout.shown(layout.logs)}/ (.venv/bin/skyfleet logs)\n"
        f"  end      make down"
    )
