"""Sign requests and verify them: HMAC-SHA256 with a shared key, within a time window, without replays.

Rules of this file
- Sender and receiver compute the same canonical text (`_canonical`).
- `skyfleet.keys` derives the keys.
- Platforms respell a request target on its way, so path and query are signed in one spelling
  (`skyfleet.spelling`).
- Clock and nonce are arguments. Standard library only, since all functions on all clouds import this file.
- All refusals have the same message; the cause is an attribute for the log.

The signed text has seven lines: `v1`, method, path with query, time, nonce, SHA-256 of the body, and the
value of `x-skyfleet-forwarded` (`skyfleet.forwarded`), empty without it. The last four have no line breaks,
and three of them a fixed form, so no path can imitate another request. A receiver accepts times within
`WINDOW_S` of its own clock and remembers each nonce for as long. One instance therefore accepts a request
only once; across instances the window bounds a replay.

Rotation: `Keys` holds several keys, of which the first signs and all are accepted. Add the new key in front,
deploy, then remove the old one. `infra/keys.py` keeps three.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterable, Mapping
from dataclasses import field
from typing import Final, Literal, Protocol, cast

from skyfleet.asgi import Header
from skyfleet.forwarded import FIELD as FORWARDED
from skyfleet.http1.lines import fields_of
from skyfleet.spelling import plain_path, plain_query
from skyfleet.values import frozen

VERSION: Final = "v1"
# Five minutes, as in AWS SigV4. Hosts keep the clocks of functions; clocks of other clients drift more.
WINDOW_S: Final = 300
# About 10 MB of memory when full. More requests than that shorten the window (NonceCache).
NONCE_CAPACITY: Final = 65_536
# 16 random letters have at least 75 bits, and the Pulumi program makes longer ones. A shorter secret, such as
# one typed by hand, can be guessed offline from one signed request.
SHORTEST_SECRET: Final = 16
# Bytes that SHA-256 takes at once (RFC 2104, section 2: B).
_BLOCK: Final = 64
_KEYS_EXPECTED: Final = 'Expected a JSON object of key ids and secrets, e.g. {"k2": "...", "k1": "..."}.'
_ID_CHARS: Final = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-:/")

KEY_ID: Final = b"x-skyfleet-key-id"
TIMESTAMP: Final = b"x-skyfleet-timestamp"
NONCE: Final = b"x-skyfleet-nonce"
SIGNATURE: Final = b"x-skyfleet-signature"
HEADERS: Final = (KEY_ID, TIMESTAMP, NONCE, SIGNATURE)
_LINES: Final = b"%b: %%b\r\n%b: %%d\r\n%b: %%b\r\n%b: %%b\r\n" % HEADERS

Cause = Literal[
    "missing-header",
    "repeated-header",
    "malformed-header",
    "unknown-key",
    "wrong-signature",
    "too-old",
    "too-new",
    "replayed",
]


class Unauthorized(Exception):
    """The request is refused. The message is the same for every cause; `cause` is for the log only.

    fields: the challenge that a 401 must have (RFC 9110, section 15.5.2), of a scheme of our own."""

    status = 401
    fields: tuple[Header, ...] = ((b"www-authenticate", b'Skyfleet-Signature realm="skyfleet"'),)
    code = "unauthorized"
    message = (
        "This endpoint only takes requests signed by its router. "
        "Call the router's URL, or sign the request with a current key and clock."
    )

    def __init__(self, cause: Cause) -> None:
        super().__init__(self.message)
        self.cause: Cause = cause


class KeysError(ValueError):
    """The configured signing keys cannot be used. The message gives the reason and contains no key."""


@frozen
class Keys:
    """Signing keys by id. The first one signs, and all are accepted."""

    secrets: Mapping[str, bytes] = field(repr=False)
    signing_id: str

    @classmethod
    def parse(cls, text: str) -> Keys:
        """Read `{"k2": "secret", "k1": "secret"}`, as in SKYFLEET_SIGNING_KEYS."""
        if text.startswith("@Microsoft.KeyVault"):
            raise KeysError(
                "The signing keys are still a Key Vault reference: the platform did not resolve it. "
                "Check that the function's identity may read that secret."
            )
        try:
            parsed: object = json.loads(text)
        except json.JSONDecodeError as error:
            raise KeysError(
                f"The signing keys are not JSON (position {error.pos} of {len(text)}). {_KEYS_EXPECTED}"
            ) from None
        if not isinstance(parsed, dict):
            raise KeysError(f"The signing keys are a {type(parsed).__name__}. {_KEYS_EXPECTED}")
        entries = cast("dict[str, object]", parsed)
        if not entries:
            raise KeysError(f"The signing keys are an empty object. {_KEYS_EXPECTED}")
        secrets: dict[str, bytes] = {}
        for key_id, secret in entries.items():
            if not key_id or not _ID_CHARS.issuperset(key_id):
                raise KeysError(
                    f"Key id {key_id!r} is not made of letters, digits, '-', ':' and '/'. {_KEYS_EXPECTED}"
                )
            if not isinstance(secret, str) or not secret:
                raise KeysError(f"Key {key_id!r} is not a non-empty string. {_KEYS_EXPECTED}")
            if len(secret) < SHORTEST_SECRET:
                raise KeysError(
                    f"Key {key_id!r} has {len(secret)} characters, at least {SHORTEST_SECRET} are needed. "
                    "Use a random secret, e.g. of `openssl rand -hex 32`."
                )
            secrets[key_id] = secret.encode()
        return cls(secrets=secrets, signing_id=next(iter(secrets)))

    def find(self, key_id: str) -> bytes | None:
        """The key of this id, or None."""
        return self.secrets.get(key_id)


class Accepted(Protocol):
    """A source of the keys that a receiver accepts."""

    def find(self, key_id: str, /) -> bytes | None: ...


class NonceCache:
    """The nonces of accepted requests within the time window.

    When the cache is full it drops the oldest second and refuses all requests of that second and earlier. A
    flood shortens the window and never lets a replay pass.
    """

    def __init__(self, capacity: int = NONCE_CAPACITY) -> None:
        self._capacity = capacity
        self._seconds: dict[int, set[bytes]] = {}
        self._count = 0
        self._oldest_allowed = 0
        self._pruned_at = 0

    def __len__(self) -> int:
        return self._count

    def remember(self, nonce: bytes, timestamp: int, now: float) -> Cause | None:
        """Add a nonce. Returns None, or the cause if the request must be refused."""
        if int(now) != self._pruned_at:  # at most once a second
            self._pruned_at = int(now)
            self._forget_before(int(now) - WINDOW_S)
        if timestamp < self._oldest_allowed:
            return "too-old"
        nonces = self._seconds.setdefault(timestamp, set())
        if nonce in nonces:
            return "replayed"
        nonces.add(nonce)
        self._count += 1
        if self._count > self._capacity:
            self._oldest_allowed = min(self._seconds) + 1
            self._forget_before(self._oldest_allowed)
        return None

    def _forget_before(self, second: int) -> None:
        for old in [known for known in self._seconds if known < second]:
            self._count -= len(self._seconds.pop(old))


class Signable(Protocol):
    """What a signature covers. path: percent-decoded, as in an ASGI scope. query: raw, without "?".
    forwarded: the value of `x-skyfleet-forwarded`, without line breaks; empty: there is none."""

    @property
    def method(self) -> str: ...
    @property
    def path(self) -> str: ...
    @property
    def query(self) -> bytes: ...
    @property
    def body(self) -> bytes: ...
    @property
    def forwarded(self) -> bytes: ...


@frozen
class _Request:
    """A request that tells nothing of a client."""

    method: str
    path: str
    query: bytes
    body: bytes
    forwarded: bytes = b""


def sign(
    keys: Keys, method: str, path: str, query: bytes, body: bytes, *, now: float, nonce: str
) -> list[Header]:
    """Return the four headers that authenticate this request; see `sign_request`."""
    return sign_request(keys, _Request(method, path, query, body), now=now, nonce=nonce)


def sign_request(keys: Keys, request: Signable, *, now: float, nonce: str) -> list[Header]:
    """Return the headers that authenticate a request: four, and `x-skyfleet-forwarded` if it has a value.

    now: unix seconds. nonce: 32 hexadecimal digits, never used before (`secrets.token_hex(16)`).
    """
    return fields_of(Signer(keys).lines(request, now=now, nonce=nonce))


class Signer:
    """Signs with the first of the keys. The states of both hashes after the key are kept (RFC 2104, section
    4). `hmac` keeps them too, behind six calls of Python for a copy and a digest."""

    __slots__ = ("_inner", "_key_id", "_outer")

    def __init__(self, keys: Keys) -> None:
        self._key_id = keys.signing_id.encode()
        secret = keys.secrets[keys.signing_id]
        if len(secret) > _BLOCK:
            secret = hashlib.sha256(secret).digest()
        secret = secret.ljust(_BLOCK, b"\0")
        self._inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in secret))
        self._outer = hashlib.sha256(bytes(byte ^ 0x5C for byte in secret))

    def lines(self, request: Signable, *, now: float, nonce: str) -> bytes:
        """The headers of `sign_request` as lines of a head in HTTP/1.1, each with its CRLF."""
        second, told = int(now), request.forwarded
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(
            _canonical(request.method, request.path, request.query, second, nonce, request.body)
            + b"\n"
            + told
        )
        outer.update(inner.digest())
        lines = _LINES % (self._key_id, second, nonce.encode(), outer.hexdigest().encode())
        return b"%b%b: %b\r\n" % (lines, FORWARDED, told) if told else lines


@frozen
class Verifier:
    """Verify requests against accepted keys and earlier nonces."""

    keys: Accepted
    seen: NonceCache = field(default_factory=NonceCache)

    def check(
        self, headers: Iterable[Header], method: str, path: str, query: bytes, body: bytes, *, now: float
    ) -> str:
        """Return the id of the key that signed the request. now: unix seconds.

        Raises Unauthorized if the signature is invalid, outside the time window or a replay.
        """
        found = signature_headers(headers)
        secret = self.keys.find(found[KEY_ID])
        if secret is None:
            raise Unauthorized("unknown-key")
        timestamp, nonce = _timestamp(found[TIMESTAMP]), _nonce(found[NONCE])
        text = _canonical(method, path, query, found[TIMESTAMP], found[NONCE], body)
        text += b"\n" + found[FORWARDED].encode()
        expected = hmac.digest(secret, text, "sha256").hex()
        if not hmac.compare_digest(expected.encode(), found[SIGNATURE].encode()):
            raise Unauthorized("wrong-signature")
        if timestamp < now - WINDOW_S:
            raise Unauthorized("too-old")
        if timestamp > now + WINDOW_S:
            raise Unauthorized("too-new")
        # Last, so that unsigned requests cannot fill the cache.
        cause = self.seen.remember(nonce, timestamp, now)
        if cause is not None:
            raise Unauthorized(cause)
        return found[KEY_ID]


def _canonical(method: str, path: str, query: bytes, timestamp: int | str, nonce: str, body: bytes) -> bytes:
    if "%" in path or "/." in path or "\\" in path:
        path = plain_path(path)
    # A "?" inside the decoded path must not be read as the start of the query.
    if "%" in path or "?" in path:
        path = path.replace("%", "%25").replace("?", "%3F")
    if query:
        query = plain_query(query)
        path = f"{path}?{query.decode('utf-8', 'surrogateescape')}"
    text = f"{VERSION}\n{method}\n{path}\n{timestamp}\n{nonce}\n{hashlib.sha256(body).hexdigest()}"
    return text.encode("utf-8", "surrogateescape")


def signature_headers(headers: Iterable[Header]) -> dict[bytes, str]:
    """The values by name, with "" for a missing `x-skyfleet-forwarded`. Raises Unauthorized if one of the
    four others is missing, or any is repeated or not ASCII.

    A receiver calls this before it reads the body, to refuse unsigned requests early.
    """
    found: dict[bytes, str] = {}
    for raw_name, value in headers:
        name = raw_name.lower()
        if name in HEADERS or name == FORWARDED:
            if name in found:
                raise Unauthorized("repeated-header")
            try:
                found[name] = value.decode("ascii")
            except UnicodeDecodeError:
                raise Unauthorized("malformed-header") from None
    found.setdefault(FORWARDED, "")
    if len(found) != len(HEADERS) + 1:
        raise Unauthorized("missing-header")
    return found


def _timestamp(text: str) -> int:
    # 12 digits suffice for 30,000 years and bound the input of int().
    if not text.isdigit() or len(text) > 12:
        raise Unauthorized("malformed-header")
    return int(text)


def _nonce(text: str) -> bytes:
    try:
        nonce = bytes.fromhex(text)
    except ValueError:
        raise Unauthorized("malformed-header") from None
    if len(nonce) != 16 or len(text) != 32:
        raise Unauthorized("malformed-header")
    return nonce
