"""The document at `/.well-known/skyfleet.json`: which routers a fleet has, for its clients.

    {"version": 1, "routers": ["https://...", "https://..."], "complete": true, "iat": 1700000000,
     "exp": 1700086400, "signed": "eyJ..."}

Rules
- `signed` is the same content as a JSON Web Signature in compact form (RFC 7515) with HS256, as
  `signed_metadata` in RFC 8414, section 2.1. To a client only that counts. The other members are for reading,
  and for a router that is open, which has no key to sign with.
- Routers hold the SHA-256 of the API key and nothing else of it. The key of the signature is derived from
  that digest by HKDF (`skyfleet.keys`), and so is a token that opens this path only. A client sends the
  token, not its API key: a server in a router's place can neither call agents with it nor sign a list.
- `iat` and `exp` say when it was issued and when it expires, in unix seconds (RFC 7519, section 4.1).
- `complete` is false while the router knows only itself. Its URL is then the one of the request.
- All instances that know the same list make the same document within `ISSUED_EACH_S`.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from typing import Final, cast

from skyfleet.forwarded import parse_public_url
from skyfleet.keys import hkdf
from skyfleet.values import frozen

PATH: Final = "/.well-known/skyfleet.json"
VERSION: Final = 1
ISSUED_EACH_S: Final = 3600
# A list is a hint of where to look: an old one costs a client a connection that is refused.
LIFETIME_S: Final = 86_400
# Clocks of clients are kept less well than those of clouds.
SKEW_S: Final = 300
MOST_BYTES: Final = 131_072
_LABEL: Final = "skyfleet router list v1"
_HEADER: Final = {"alg": "HS256", "typ": "skyfleet-routers+jwt"}  # a type of its own: RFC 8725, section 3.11


class RouterListError(ValueError):
    """The document is not to be used; the message says why."""


@frozen
class RouterList:
    """What the document says. complete: these are all routers. issued, expires: unix seconds."""

    routers: tuple[str, ...]
    complete: bool
    issued: int
    expires: int


def token(digest: bytes) -> str:
    """What opens this path. digest: the SHA-256 of the API key."""
    return hkdf(digest, f"{_LABEL}: token".encode()).hex()


def digest_of(api_key: str) -> bytes:
    """What routers hold of an API key."""
    return hashlib.sha256(api_key.encode()).digest()


def issued(routers: Sequence[str], now: float, *, complete: bool) -> RouterList:
    """The list as it is issued at `now`."""
    at = int(now) // ISSUED_EACH_S * ISSUED_EACH_S
    return RouterList(tuple(routers), complete, at, at + LIFETIME_S)


def dump(found: RouterList, digest: bytes | None) -> bytes:
    """The document. digest: the SHA-256 of the API key; None: of an open router."""
    signed = {} if digest is None else {"signed": _signed(found, digest)}
    return json.dumps({"version": VERSION, **_as_json(found), **signed}).encode()


def load(document: bytes, api_key: str | None, now: float) -> RouterList:
    """What a document says. api_key: None accepts one without a signature, which nothing protects. Raises
    RouterListError if it is malformed, not signed with this key, or not valid at `now` (unix seconds)."""
    if len(document) > MOST_BYTES:
        raise RouterListError(f"It has more than {MOST_BYTES} bytes.")
    fields = _object(document, "The document")
    if fields.get("version") != VERSION:
        raise RouterListError(f"Its version is {str(fields.get('version'))[:20]}, expected {VERSION}.")
    found = _parsed(fields if api_key is None else _verified(fields.get("signed"), digest_of(api_key)))
    if found.issued > now + SKEW_S:
        raise RouterListError(f"It is issued {found.issued - now:.0f} s in the future; compare the clocks.")
    if found.expires + SKEW_S < now:
        raise RouterListError(f"It expired {now - found.expires:.0f} s ago.")
    return found


def _as_json(found: RouterList) -> dict[str, object]:
    return {
        "routers": list(found.routers),
        "complete": found.complete,
        "iat": found.issued,
        "exp": found.expires,
    }


def _signed(found: RouterList, digest: bytes) -> str:
    text = f"{_part(_HEADER)}.{_part(_as_json(found))}"
    return f"{text}.{_encoded(_mac(text, digest))}"


def _mac(text: str, digest: bytes) -> bytes:
    return hmac.digest(hkdf(digest, f"{_LABEL}: signature".encode()), text.encode(), "sha256")


def _part(value: Mapping[str, object]) -> str:
    return _encoded(json.dumps(value, separators=(",", ":")).encode())


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _verified(signed: object, digest: bytes) -> Mapping[str, object]:
    """The signed content. Only one header is accepted, so no other algorithm is (RFC 8725, section 3.1)."""
    if not isinstance(signed, str):
        raise RouterListError("It is not signed, as that of a router without an API key; expected `signed`.")
    text, _, mac = signed.rpartition(".")
    header, _, content = text.partition(".")
    if not signed.isascii() or not hmac.compare_digest(mac, _encoded(_mac(text, digest))):
        raise RouterListError("It is not signed with this API key: it is not from a router of this fleet.")
    if header != _part(_HEADER):
        raise RouterListError("It is signed in another form; use a client of the router's release.")
    return _object(base64.urlsafe_b64decode(content + "=" * (-len(content) % 4)), "Its signed content")


def _object(data: bytes, what: str) -> Mapping[str, object]:
    try:
        found: object = json.loads(data)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise RouterListError(f"{what} is not a JSON object.")
    return cast("dict[str, object]", found)


def _parsed(fields: Mapping[str, object]) -> RouterList:
    listed, complete = fields.get("routers"), fields.get("complete")
    times = fields.get("iat"), fields.get("exp")
    if not isinstance(listed, list) or not listed or not isinstance(complete, bool):
        raise RouterListError("It lists no routers, or does not say whether these are all.")
    if any(type(at) is not int for at in times):
        raise RouterListError("Its times are not whole unix seconds.")
    routers: list[str] = []
    for url in cast("list[object]", listed):
        known = parse_public_url(url)
        if known is None:
            raise RouterListError(f"It lists {str(url)[:60]!r}, expected URLs without user and query.")
        routers.append(known.text)
    at, until = cast("tuple[int, int]", times)
    return RouterList(tuple(routers), complete, at, until)
