"""The documents in which an agent names its own URL: A2A's agent card, and OAuth metadata of an MCP server.

Rules
- The SDKs build both once, at the start, with a URL from the code. It is replaced only if it cannot be meant
  for clients: a URL of this machine, as examples have it, or of the function itself, which takes signed
  requests only. It keeps its path. Any other URL is what the agent says on purpose, and stays.
- Of a card: `url`, and `url` of each interface. Of metadata: `resource`. Nothing else is changed.
- A signed document is never changed: a card with `signatures`, metadata with `signed_metadata`. Its agent
  has to sign the public URL.
- The challenge of a 401 names the URL of the metadata (`resource_metadata`); the same rule holds for it.

Sources: a2a-protocol.org specification 1.0, sections 8.2 (discovery) and 8.4 (signatures); RFC 9728, sections
2.2 (`signed_metadata`), 3 (the path), 3.3 (`resource` must equal the URL that the client used) and 5.1
(`resource_metadata`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from typing import Any, Final, cast

from skyfleet.forwarded import parse_authority

# The second one is what A2A 0.2 had.
_CARDS: Final = ("/.well-known/agent-card.json", "/.well-known/agent.json")
# Followed by the path of the resource, if that has one.
_METADATA: Final = "/.well-known/oauth-protected-resource"
_URL: Final = re.compile(r"https?://(?P<authority>[^/?#@\s]+)(?P<rest>[/?#]\S*)?")
_RESOURCE_METADATA: Final = re.compile(rb'(resource_metadata=")([^"]*)(")')
_INTERFACES: Final = ("supportedInterfaces", "additionalInterfaces")
# Where servers listen, but no client connects.
_UNSPECIFIED: Final = ("0.0.0.0", "::")  # noqa: S104 - nothing is bound


def is_document(path: str) -> bool:
    """Whether a path names one of these documents."""
    return path.endswith(_CARDS) or _METADATA in path


def published(path: str, body: bytes, base: str, own: Collection[str]) -> bytes | None:
    """The document with the URL that clients use; None if nothing is to be changed.

    base: that URL, without a slash at its end. own: hosts of the function itself, in lower case.
    """
    try:
        found: object = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict):
        return None
    document = cast("dict[str, Any]", found)
    if document.get("signatures") or document.get("signed_metadata"):
        return None
    places = [(document, "url")] if path.endswith(_CARDS) else [(document, "resource")]
    if path.endswith(_CARDS):
        for name in _INTERFACES:
            listed: object = document.get(name)
            for one in cast("list[object]", listed) if isinstance(listed, list) else []:
                if isinstance(one, dict):
                    places.append((cast("dict[str, Any]", one), "url"))
    changed = False
    for place, name in places:
        url = relocated(place.get(name), base, own)
        if url is not None:
            place[name], changed = url, True
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode() if changed else None


def challenge(value: bytes, base: str, own: Collection[str]) -> bytes:
    """A value of `www-authenticate` with the metadata's URL as clients reach it."""

    def replaced(found: re.Match[bytes]) -> bytes:
        url = relocated(found[2].decode("latin-1"), base, own)
        return found[0] if url is None else found[1] + url.encode("latin-1") + found[3]

    return _RESOURCE_METADATA.sub(replaced, value)


def relocated(url: object, base: str, own: Collection[str]) -> str | None:
    """The URL at `base`; None if it stays as it is."""
    found = _URL.fullmatch(url) if isinstance(url, str) else None
    if found is None or (str(url).startswith(base) and str(url)[len(base) :][:1] in ("", "/", "?", "#")):
        return None
    origin = parse_authority(found["authority"], tls=True)
    if origin is None or not (origin.loopback or origin.host in _UNSPECIFIED or origin.host in own):
        return None
    return base + (found["rest"] or "")
