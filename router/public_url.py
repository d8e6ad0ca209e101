"""What a router believes about its own URL and about the address of its client.

Rules
- The `Host` field names the router: each platform routes by it, so a client cannot choose another one. The
  scheme is https, since all three platforms serve functions over TLS only, and http on this machine.
- Fields that clients may set (`forwarded`, `x-forwarded-host`, `-proto`, `-prefix`) are not believed. Behind
  a CDN or a domain of one's own, `skyfleet:router.publicUrl` says what clients use.
- The client's address is the last of `x-forwarded-for` that is no private one: each platform appends what it
  has seen, and Azure's host appends its own front end behind that. Without that field it is the server's
  peer.

Sources: github.com/Azure/azure-functions-host, ScriptInvocationRequestTransformer.cs (it keeps `Host` and
appends to `x-forwarded-for`); AspNetCore.Docs issue 2384 (two addresses on App Service);
docs.aws.amazon.com/powertools/typescript, LambdaFunctionUrlSchema (an event with its fields);
cloud.google.com/functions/docs/reference/headers.
"""

from __future__ import annotations

from typing import Final

from skyfleet.forwarded import PublicUrl, parse_authority

CHAIN: Final = b"x-forwarded-for"
# A router has one or two names. A client that reaches it without a platform can send any.
_MOST_NAMES: Final = 64
# What is made of other characters is several addresses, or none.
OF_ADDRESSES: Final = b"0123456789abcdefABCDEF.:[]"
# RFC 1918, RFC 3927, RFC 4193, RFC 4291, RFC 6598 (its first block is what Azure uses), loopback.
_PRIVATE: Final = (
    *(b"10.", b"127.", b"169.254.", b"192.168.", b"100.64."),
    *(b"172.%d." % second for second in range(16, 32)),
    *(start + name for start in (b"", b"[") for name in (b"fc", b"fd", b"fe80:", b"::1")),
)


class PublicUrls(dict[bytes, bytes]):
    """What agents are told of the URL, by the value of Host; a mapping, since a look-up costs no call.

    fixed: as configured; it holds for every Host."""

    def __init__(self, fixed: PublicUrl | None) -> None:
        super().__init__()
        self._fixed = fixed

    def __missing__(self, host: bytes) -> bytes:
        if len(self) >= _MOST_NAMES:
            self.clear()
        url = self._fixed or own_url(host.decode("latin-1"))
        self[host] = found = url.parameters if url else b""
        return found


def own_url(host: str) -> PublicUrl | None:
    """The router's URL by the value of Host; None if that names no host."""
    origin = parse_authority(host, tls=True)
    if origin is not None and origin.loopback:
        origin = parse_authority(host, tls=False)
    return PublicUrl(origin) if origin else None


def client_address(chain: bytes, peer: str) -> bytes:
    """The client's address, with its port where that is known; empty where nothing is. chain: the value of
    `x-forwarded-for`, empty without it. peer: the address of the connection, or empty."""
    if not chain:
        return peer.encode()
    elements = [element.strip() for element in chain.split(b",")]
    found = [element for element in elements if element and not element.translate(None, OF_ADDRESSES)]
    if not found:
        return b""
    public = [element for element in found if not element.startswith(_PRIVATE)]
    return public[-1] if public else found[-1]
