"""Paths that a cloud reserves, and its changes to the others. Pure.

Sources: Google, cloud.google.com/run/docs/issues (`/eventlog`, all below `/_ah/`, some paths that end in `z`,
here
words such as `/healthz`; encoded characters that need no encoding arrive decoded, `%41` as `A`). Azure,
azure-functions-host #1781, #2590 and #6990: `/admin` is the host's own API and requires its key, `/runtime`
leads
to webhooks of extensions, also in an app that takes all paths. Amazon reserves none.
"""

from __future__ import annotations

import re

from emulator.desired.model import Cloud
from emulator.runtime.azure.proxy import refused
from emulator.runtime.errors import Cause

AZURES: dict[str, Cause] = {"admin": "unauthorized", "runtime": "no-route"}
_GOOGLES = re.compile(r"/eventlog|/_ah/.*|/[a-z]+z")
_ENCODED = re.compile(r"%([0-9a-f]{2})", re.IGNORECASE)
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")  # RFC 3986


def reserved(cloud: Cloud, target: str) -> Cause | None:
    """Why a request for this target reaches no function, or None."""
    path = target.partition("?")[0]
    if cloud == "gcp" and _GOOGLES.fullmatch(path):
        return "no-host"
    if cloud != "azure":
        return None
    return "bad-request" if refused(path) else AZURES.get(path.split("/")[1].lower())


def passed_on(cloud: Cloud, target: str) -> str:
    """The target that the function gets."""
    if cloud != "gcp":
        return target
    path, mark, query = target.partition("?")
    return f"{_ENCODED.sub(_decoded, path)}{mark}{query}"


def _decoded(found: re.Match[str]) -> str:
    char = chr(int(found[1], 16))
    return char if char in _UNRESERVED else found[0]
