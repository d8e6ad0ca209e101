"""Fields that are the router's own, fields that a connection option names, and odd request ids."""

from __future__ import annotations

from typing import Final

from bench.http.cases import HOST, HostileRequest, Local, Passed, Refused, get, message, post, request

_INTERNAL: Final = "docs/reference/http.md"
_FOLDED: Final = "RFC 3875, section 4.1.18"
_HOP: Final = "RFC 9110, section 7.6.1"
_ABUSE: Final = "RFC 9110, section 7.6.1; 'Abusing HTTP hop-by-hop request headers' (N. Davison, 2019)"
_ID: Final = "docs/reference/http.md"
# What the agent of a signed request must see once, from the router.
_SIGNED: Final = (b"x-skyfleet-key-id", b"x-skyfleet-timestamp", b"x-skyfleet-nonce", b"x-skyfleet-signature")
_FORGED: Final = (*_SIGNED, b"x-skyfleet-forwarded")
_CLIENTS: Final = (
    b"forwarded",
    b"x-forwarded-for",
    b"x-forwarded-host",
    b"x-forwarded-port",
    b"x-forwarded-proto",
    b"x-forwarded-prefix",
    b"x-real-ip",
)
# A value that no component makes: the agent must not find it in any field.
FORGED: Final = b"forged-by-a-client"


def _dropped(name: bytes, rests_on: str = _INTERNAL, value: bytes = FORGED) -> HostileRequest:
    """The agent does not get this field of the client; where the router sets one, it has another value."""
    sent = post(name + b": " + value, b"Content-Length: 3", body=b"abc")
    return request(f"forged field {name.decode()}", sent, rests_on, Passed("POST", b"/x", b"abc"))


def _folds(name: bytes) -> tuple[bytes, ...]:
    """The spellings with underscores that a CGI server takes for this name."""
    return (name.replace(b"-", b"_"), name[: name.rindex(b"-")] + b"_" + name[name.rindex(b"-") + 1 :])


FORGED_FIELDS: Final = (
    *(_dropped(name) for name in _FORGED),
    _dropped(b"X-SKYFLEET-SIGNATURE"),
    *(_dropped(spelling, _FOLDED) for name in _FORGED for spelling in _folds(name)),
    *(
        _dropped(name)
        for name in (b"x-skyfleet-target", b"x-skyfleet-cold", b"x-skyfleet-outcome", b"x-skyfleet-anything")
    ),
    _dropped(b"x_skyfleet_anything", _FOLDED),
    *(_dropped(name, "docs/security.md") for name in _CLIENTS),
    *(_dropped(name, _FOLDED) for name in (b"x_forwarded_for", b"x-forwarded_host", b"x_real_ip")),
    *(_dropped(name, _FOLDED) for name in (b"x_request_id", b"x_request_start", b"x-request-start")),
    *(
        _dropped(name, "docs/security.md")
        for name in (b"x-functions-key", b"x-ms-client-principal", b"x-goog-iap-jwt-assertion")
    ),
    *(
        _dropped(name, _FOLDED)
        for name in (b"x_functions_key", b"x_ms_client_principal", b"x_goog_iap_jwt_assertion")
    ),
    request(
        "a whole forged signature",
        post(*(name + b": " + FORGED for name in _SIGNED), b"Content-Length: 0"),
        "RFC 9110, section 15.5.20",
        Local(421),
    ),
    request(
        "a whole forged signature, repeated",
        post(*(name + b": " + FORGED for name in (*_SIGNED, *_SIGNED)), b"Content-Length: 0"),
        "RFC 9110, section 15.5.20",
        Local(421),
    ),
)

_OPTIONS: Final = (
    b"x-skyfleet-signature, x-skyfleet-nonce, x-skyfleet-key-id, x-skyfleet-timestamp",
    b"x-skyfleet-forwarded",
    b"host",
    b"x-request-id",
    b"x-forwarded-for",
    b"close, x-skyfleet-signature",
    b"X-SKYFLEET-SIGNATURE",
)
CONNECTION: Final = (
    *(
        request(
            f"Connection names {options.decode()}",
            post(b"Connection: " + options, b"Content-Length: 3", body=b"abc"),
            _ABUSE,
            Passed("POST", b"/x", b"abc"),
        )
        for options in _OPTIONS
    ),
    request(
        "Connection names a field of the client",
        get(b"X-A: b", b"X-Kept: yes", b"Connection: keep-alive, X-A"),
        _HOP,
        Passed("GET", b"/x", fields=((b"x-kept", b"yes"),), absent=(b"x-a", b"connection")),
    ),
    request(
        "Connection twice",
        get(b"X-A: b", b"X-C: d", b"Connection: x-a", b"connection: x-c"),
        _HOP,
        Passed("GET", b"/x", absent=(b"x-a", b"x-c")),
    ),
    request(
        "Connection with empty elements",
        get(b"X-A: b", b"Connection: ,, x-a ,"),
        _HOP,
        Passed("GET", b"/x", absent=(b"x-a",)),
    ),
    request(
        "hop-by-hop fields",
        get(b"Keep-Alive: 1", b"TE: trailers", b"Proxy-Connection: close", b"Proxy-Authorization: x"),
        _HOP,
        Passed("GET", b"/x", absent=(b"keep-alive", b"te", b"proxy-connection", b"proxy-authorization")),
    ),
    request(
        "upgrade to h2c",
        get(
            b"Connection: Upgrade, HTTP2-Settings",
            b"Upgrade: h2c",
            b"HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA",
        ),
        "RFC 9110, section 7.8; 'h2c smuggling' (J. Miller, 2020)",
        Passed("GET", b"/x", absent=(b"upgrade", b"http2-settings", b"connection")),
    ),
    request(
        "upgrade to a WebSocket on an agent's path",
        get(
            b"Connection: Upgrade",
            b"Upgrade: websocket",
            b"Sec-WebSocket-Version: 13",
            b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
        ),
        "RFC 9110, section 7.8",
        Passed("GET", b"/x", absent=(b"upgrade", b"connection")),
    ),
    request(
        "expectation of its own",
        post(b"Expect: miracles", b"Content-Length: 3", body=b"abc"),
        "RFC 9110, section 10.1.1",
        Passed("POST", b"/x", b"abc", absent=(b"expect",)),
    ),
)


def _id(name: str, value: bytes, *, kept: bool = False) -> HostileRequest:
    fields = ((b"x-request-id", value),) if kept else ()
    expected = Passed("GET", b"/x", fields=fields)
    return request(f"request id {name}", get(b"X-Request-Id: " + value), _ID, expected)


IDS: Final = (
    request(
        "request id with a line break",
        get(b"X-Request-Id: a\r\nX-Injected: b"),
        "RFC 9112, section 5",
        Passed("GET", b"/x", fields=((b"x-request-id", b"a"), (b"x-injected", b"b"))),
    ),
    request(
        "request id with a bare CR",
        get(b"X-Request-Id: a\rX-Injected: b"),
        "RFC 9112, section 2.2",
        Refused(400),
    ),
    request(
        "request id with a bare LF",
        get(b"X-Request-Id: a\nX-Injected: b"),
        "RFC 9112, section 2.2",
        Refused(400),
    ),
    request(
        "idempotency key with a folded line",
        post(b"Idempotency-Key: a\r\n X-Injected: b", b"Content-Length: 0"),
        "RFC 9112, section 5.2",
        Refused(400),
    ),
    _id("with an encoded line break", b"forged-by-a-client%0d%0aX-Injected: b"),
    _id("with spaces", b"forged-by-a-client b"),
    _id("with high bytes", "forged-by-a-client-ü".encode()),
    _id("of 129 bytes", b"forged-by-a-client" + b"a" * 111),
    _id("empty", b""),
    request(
        "two request ids",
        get(b"X-Request-Id: first", b"X-Request-Id: " + FORGED),
        _ID,
        Passed("GET", b"/x", fields=((b"x-request-id", b"first"),)),
    ),
    _id("that is good", b"0123456789abcdef", kept=True),
    request(
        "repeated fields",
        message(b"GET /x HTTP/1.1", HOST, b"X-A: 1", b"X-B: 2", b"x-a: 3", b"Cookie: a=1", b"Cookie: b=2"),
        "RFC 9110, section 5.3",
        Passed(
            "GET",
            b"/x",
            fields=((b"x-a", b"1"), (b"x-b", b"2"), (b"x-a", b"3"), (b"cookie", b"a=1"), (b"cookie", b"b=2")),
        ),
    ),
)

CASES: Final[tuple[HostileRequest, ...]] = (*FORGED_FIELDS, *CONNECTION, *IDS)
