"""An origin (RFC 6454): scheme, host and port, which is what a connection is opened to."""

from __future__ import annotations

from typing import NamedTuple


class Origin(NamedTuple):
    """Scheme, host and port of a URL without a path. tls: whether the scheme is https."""

    tls: bool
    host: str
    port: int

    @property
    def authority(self) -> str:
        """The value of the Host header field (RFC 9110, section 7.2)."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.tls else 80) else f"{host}:{self.port}"

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach it."""
        parts = self.host.split(".")
        if len(parts) == 4 and all(part.isdigit() and int(part) < 256 for part in parts):
            return parts[0] == "127"
        return self.host == "::1" or is_local_name(self.host)


def is_local_name(host: str) -> bool:
    """Whether a name means this machine: `localhost` and every name below it (RFC 6761, section 6.3)."""
    return host == "localhost" or host.endswith(".localhost")
