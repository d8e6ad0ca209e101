"""Request targets and Host fields: their four forms, odd characters, and the router's own paths."""

from __future__ import annotations

from typing import Final

from bench.http.cases import HOST, HostileRequest, Local, Passed, Refused, get, message, request

_HOST: Final = "RFC 9112, section 3.2"
_ABSOLUTE: Final = "RFC 9112, section 3.2.2"
_FORM: Final = "RFC 9112, section 3.2"
_URI: Final = "RFC 3986, section 2.2"
_PARSERS: Final = "RFC 9110, section 4.2; 'A new era of SSRF' (O. Tsai, 2017)"


def _bad(name: str, *lines: bytes, rests_on: str = _HOST, status: int = 400) -> HostileRequest:
    return request(name, message(*lines), rests_on, Refused(status))


def _target(name: str, target: bytes, status: int = 400, rests_on: str = _FORM) -> HostileRequest:
    return _bad(f"target {name}", b"GET " + target + b" HTTP/1.1", HOST, rests_on=rests_on, status=status)


def _kept(target: bytes, rests_on: str = _URI, although: str = "") -> HostileRequest:
    """It reaches the agent as it stands."""
    name = f"target kept: {target.decode()}"
    return request(name, get(target=target), rests_on, Passed("GET", target), although=although)


def _own(name: str, target: bytes, status: int = 200) -> HostileRequest:
    return request(name, get(target=target), "docs/reference/openapi.json", Local(status))


_NUL: Final = "nginx refuses an encoded NUL. The agent gets the target as it was sent, never decoded."
_ROOT: Final = (
    "nginx resolves dot segments and refuses those above the root. The agent gets the target as it was sent."
)

HOSTS: Final = (
    _bad("no Host", b"GET /x HTTP/1.1"),
    _bad("two Hosts", b"GET /x HTTP/1.1", b"Host: a.example", b"Host: b.example"),
    _bad("two Hosts, equal", b"GET /x HTTP/1.1", HOST, HOST),
    _bad("Host of two names", b"GET /x HTTP/1.1", b"Host: a.example, b.example"),
    _bad("Host of two names without a space", b"GET /x HTTP/1.1", b"Host: a.example,b.example"),
    _bad("Host with a space", b"GET /x HTTP/1.1", b"Host: a.example b"),
    _bad("Host with a path", b"GET /x HTTP/1.1", b"Host: a.example/b"),
    _bad("Host with a user", b"GET /x HTTP/1.1", b"Host: u@a.example"),
    _bad("Host with a query", b"GET /x HTTP/1.1", b"Host: a.example?b"),
    _bad("Host with a fragment", b"GET /x HTTP/1.1", b"Host: a.example#b"),
    _bad("Host with a backslash", b"GET /x HTTP/1.1", b"Host: a.example\\b"),
    _bad("Host empty", b"GET /x HTTP/1.1", b"Host:"),
    _bad("Host with a port of letters", b"GET /x HTTP/1.1", b"Host: a.example:b"),
    _bad("Host with a port of six digits", b"GET /x HTTP/1.1", b"Host: a.example:123456"),
    _bad("Host with two ports", b"GET /x HTTP/1.1", b"Host: a.example:80:81"),
    _bad("Host with an open bracket", b"GET /x HTTP/1.1", b"Host: [::1"),
    _bad("Host with a high byte", b"GET /x HTTP/1.1", b"Host: \xe4.example"),
    request(
        "Host with a port",
        message(b"GET /x HTTP/1.1", b"Host: a.example:8080"),
        _HOST,
        Passed("GET", b"/x"),
    ),
    request("no Host in HTTP/1.0", b"GET /x HTTP/1.0\r\n\r\n", _HOST, Passed("GET", b"/x")),
)

FORMS: Final = (
    request(
        "absolute form",
        message(b"GET http://agent.example/x?y HTTP/1.1", HOST),
        _ABSOLUTE,
        Passed("GET", b"/x?y"),
    ),
    request(
        "absolute form without a path",
        message(b"GET http://agent.example HTTP/1.1", HOST),
        _ABSOLUTE,
        Passed("GET", b"/"),
    ),
    request(
        "absolute form with the default port",
        message(b"GET http://agent.example:80/x HTTP/1.1", HOST),
        "RFC 3986, section 6.2.3",
        Passed("GET", b"/x"),
    ),
    _bad(
        "absolute form of another port", b"GET http://agent.example:81/x HTTP/1.1", HOST, rests_on=_ABSOLUTE
    ),
    _bad("absolute form of another Host", b"GET http://other.example/x HTTP/1.1", HOST, rests_on=_ABSOLUTE),
    _bad("absolute form without Host", b"GET http://agent.example/x HTTP/1.1", rests_on=_HOST),
    _bad("absolute form with a user", b"GET http://u:p@agent.example/x HTTP/1.1", HOST, rests_on=_PARSERS),
    _bad("absolute form without a host", b"GET http:///x HTTP/1.1", HOST, rests_on="RFC 9110, section 4.2.1"),
    _bad("absolute form of ftp", b"GET ftp://agent.example/x HTTP/1.1", HOST, rests_on=_ABSOLUTE),
    _bad("absolute form of file", b"GET file:///etc/passwd HTTP/1.1", HOST, rests_on=_ABSOLUTE),
    _bad(
        "authority form in a GET", b"GET agent.example:80 HTTP/1.1", HOST, rests_on="RFC 9112, section 3.2.3"
    ),
    _bad(
        "CONNECT",
        b"CONNECT agent.example:80 HTTP/1.1",
        b"Host: agent.example:80",
        rests_on="RFC 9110, section 9.3.6",
    ),
    _bad("CONNECT to a path", b"CONNECT /x HTTP/1.1", HOST, rests_on="RFC 9110, section 9.3.6", status=501),
    _bad("TRACE", b"TRACE /x HTTP/1.1", HOST, b"Cookie: a=b", rests_on="RFC 9110, section 9.3.8", status=501),
    _bad("asterisk form in OPTIONS", b"OPTIONS * HTTP/1.1", HOST, rests_on="RFC 9112, section 3.2.4"),
    _bad("asterisk form in a GET", b"GET * HTTP/1.1", HOST, rests_on="RFC 9112, section 3.2.4"),
    _target("without a slash", b"x"),
    _target("of a query", b"?x"),
    _target("of an at sign", b"@other.example/x", rests_on=_PARSERS),
    _target("with a raw letter of two bytes", "/ä".encode()),
    _target("with a DEL", b"/\x7f"),
    _target("with a control character", b"/\x01"),
    _target("with a tab", b"/\tx"),
    _target("with a fragment", b"/x#y"),
)

KEPT: Final = (
    _kept(b"/x%0d%0aHost:%20other"),
    _kept(b"/x%00", although=_NUL),
    _kept(b"/%2e%2e/x", although=_ROOT),
    _kept(b"/a/../x"),
    _kept(b"/a/./x//y"),
    _kept(b"/a%2Fb%2fc"),
    _kept(
        b"/%zz",
        although="nginx refuses what it cannot decode. The agent gets the target as it was sent.",
    ),
    _kept(b"/../x", although=_ROOT),
    _kept(b"/%2e%2e/%2e%2e/x", although=_ROOT),
    _kept(b"//other.example/x"),
    _kept(b"/x?"),
    _kept(b"/x??a"),
    _kept(b"/x?a=b&a=%26c+d"),
    _kept(b"/x;a=b?http://other.example/"),
    _kept(b"/x\\y"),
    _kept(b'/x"<>^`{|}'),
)

OWN: Final = (
    _own("own path", b"/health"),
    _own("own path with a query", b"/health?x"),
    request(
        "own path in absolute form",
        message(b"GET http://agent.example/health HTTP/1.1", HOST),
        _ABSOLUTE,
        Local(200),
    ),
    _own("own path, another method", b"/_skyfleet/health", 405),
    *(
        request(
            f"not an own path: {target.decode()}",
            get(target=target),
            "RFC 3986, section 6.2.2",
            Passed("GET", target),
            although=_NUL if b"%00" in target else "",
        )
        for target in (
            b"/%68ealth",
            b"/heal%74h",
            b"/health/",
            b"//health",
            b"/HEALTH",
            b"/health;x",
            b"/health%00",
            b"/health%3Fx",
            b"/x/../health",
            b"/./health",
            b"/api%2fstatus",
            b"/api/%63ontrol",
            b"/api//status",
            b"/_skyfleet%2Fhealth",
            b"/_skyfleet/%68ealth",
        )
    ),
)

CASES: Final[tuple[HostileRequest, ...]] = (*HOSTS, *FORMS, *KEPT, *OWN)
