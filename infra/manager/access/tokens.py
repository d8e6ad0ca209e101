"""Operator tokens and the role of each. Stored as SHA-256, shown once.

Rules
- A token is 256 random bits, so a fast hash is enough to store it (OWASP, Password Storage Cheat Sheet, is
  about secrets that people choose). Each look-up compares with every stored hash, in constant time.
- The file is read again when it has changed: a token that `skyfleet manager token revoke` removed is refused
  by the running manager at its next request.
- A file that cannot be read lets no request in.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
import secrets
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final, cast

from infra.manager.errors import Unavailable
from infra.operations import json_access
from infra.setup.file_lock import exclusive

PREFIX: Final = "skyfleet_"
NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
# What history and audit log call an operator of the local stack without a token.
LOCAL: Final = "local"
# A century: its end is a date that every reader of the file can write.
MOST_DAYS: Final = 36_500


class Role(StrEnum):
    """What a token permits. An operator may do what a viewer may."""

    VIEWER = "viewer"
    OPERATOR = "operator"


@dataclass(frozen=True, slots=True)
class Token:
    """A stored token. created, expires: Unix seconds; expires None: never."""

    name: str
    role: Role
    sha256: str
    created: float
    expires: float | None = None

    def is_expired(self, now: float) -> bool:
        return self.expires is not None and now >= self.expires


class InvalidToken(ValueError):
    """A name or a lifetime that cannot be used, with the reason as its message."""


def digest(secret: str) -> str:
    """What is stored of a secret."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def find(tokens: Iterable[Token], secret: str) -> Token | None:
    """The token of a secret, expired or not; every one is compared."""
    wanted, found = digest(secret), None
    for token in tokens:
        if hmac.compare_digest(token.sha256, wanted):
            found = token
    return found


def parse(text: str) -> tuple[Token, ...] | None:
    """The tokens of a stored file; None if it is damaged."""
    stored = json_access.as_object(json_access.parse(text)).get("tokens")
    if not isinstance(stored, list):
        return None
    entries = cast("list[object]", stored)
    tokens = tuple(one for entry in entries if (one := _token(json_access.as_object(entry))) is not None)
    return tokens if len(tokens) == len(entries) else None


def _token(stored: json_access.JsonObject) -> Token | None:
    role = json_access.string(stored.get("role"))
    name, sha256 = json_access.string(stored.get("name")), json_access.string(stored.get("sha256"))
    created = json_access.number(stored.get("created"))
    expires = json_access.number(stored.get("expires"))
    if not name or len(sha256) != 64 or created is None or role not in list(Role):
        return None
    if expires is None and stored.get("expires") is not None:
        return None  # an expiry that cannot be read must not become none
    return Token(name, Role(role), sha256, created, expires)


@dataclass(slots=True)
class TokenStore:
    """The tokens of one manager, in a file that only its user may read."""

    path: Path
    _read: tuple[tuple[int, int, int], tuple[Token, ...]] | None = None

    def all(self) -> Sequence[Token]:
        """All tokens, expired ones included. Raises Unavailable when the file is damaged."""
        try:
            status = self.path.stat()
            version = (status.st_mtime_ns, status.st_ino, status.st_size)
            if self._read is None or self._read[0] != version:
                tokens = parse(self.path.read_text("utf-8"))
                if tokens is None:
                    raise ValueError
                self._read = version, tokens
        except FileNotFoundError:
            return ()
        except (OSError, ValueError):
            raise Unavailable(
                f"The tokens in {self.path} cannot be read, so no request is let in. Restore the file, or "
                "remove it and create the tokens again."
            ) from None
        return self._read[1]

    def create(self, name: str, role: Role, now: float, days: float | None) -> str:
        """Store a new token and return its secret, which is stored nowhere. days: None for ever.

        Raises InvalidToken, Unavailable.
        """
        if not NAME.fullmatch(name) or name == LOCAL:
            raise InvalidToken(
                f"{name!r} is no name for a token: use up to 64 letters, digits and . _ @ -, not {LOCAL!r}"
            )
        if days is not None and not 0 < days <= MOST_DAYS:  # NaN is not in between, and is no JSON
            raise InvalidToken(f"a token cannot be valid for {days:g} days: up to {MOST_DAYS}, or for ever")
        secret = PREFIX + secrets.token_urlsafe(32)
        expires = None if days is None else now + days * 86400
        self._change(Token(name, role, digest(secret), now, expires))
        return secret

    def revoke(self, name: str) -> bool:
        """Remove a token; False when there is none of that name."""
        with self._locked():
            before = self.all()
            after = [token for token in before if token.name != name]
            if len(after) == len(before):
                return False
            self._write(after)
        return True

    def _change(self, new: Token) -> None:
        with self._locked():
            before = self.all()
            if any(token.name == new.name for token in before):
                raise InvalidToken(
                    f"there is a token {new.name!r} already: revoke it first, or choose a name"
                )
            self._write([*before, new])

    def _locked(self) -> AbstractContextManager[None]:
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return exclusive(self.path.parent, lambda: None)

    def _write(self, tokens: Sequence[Token]) -> None:
        text = json.dumps({"tokens": [asdict(token) for token in tokens]}, indent=1)
        fresh = self.path.with_suffix(f".{os.getpid()}")
        try:
            handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(self.path)
        finally:
            fresh.unlink(missing_ok=True)
        self._read = None
