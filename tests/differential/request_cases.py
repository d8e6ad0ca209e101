"""The differential cases of requests: methods, targets, fields, bodies."""

from __future__ import annotations

from typing import Final

from tests.differential.model import HOST, JSON, TEXT, Case, Headers, Reply, Request

POST: Final = Request(b"POST", fields=(JSON,), body=b'{"input": "6*7"}', framing="length")
BYTES: Final = bytes(range(256)) * 16
LONG: Final = b"x" * 8_000

METHODS: Final = (
    *(b"GET", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS", b"PROPFIND", b"MKCOL", b"PURGE", b"M-SEARCH"),
    b"QUERY",
)
# Methods are any token, and not one in another case. The emulated front ends know the registered ones only.
TOKENS: Final = (b"get", b"x!#$%&'*+-.^_`|~9")
TARGETS: Final = (
    *(
        b"/",
        b"/e?",
        b"/?",
        b"/e??",
        b"/e?a=1&a=2&b",
        b"/e?a=%20b&c=%2F&d=+",
        b"/e?x=a?b",
        b"/e?q=%FF%00",
        b"/e?a=[1]&b={2}",
    ),
    *(b"/a%20b/%2F%2f", b"/caf%C3%A9", b"/%7Euser/%41", b"/a//b///c"),
    *(b"/%FF", b"/a%0Ab%0D", b"/%", b"/%zz", b"/a%5Cb", b"/%F0%9F%98%80", b"/%2525"),
    *(b"/a?q=it's", b"/a?q={x}|^`\\", b"/a%252Fb"),
    *(b"//x", b"/*", b"/:80", b"/http://x/", b"/e?%", b"/e?a?/../b", b"/e?a/%2e%2e"),
    *(b"/a/./b/../c", b"/a/%2e%2e/b", b"/..", b"/a;b=c,d@e:f!$&'()*+", b"/a|b^c`d", b'/a"b<c>'),
    b"/" + LONG,
)
VALUES: Final[dict[str, Headers]] = {
    "repeated fields": ((b"x-a", b"1"), (b"x-b", b"2"), (b"x-a", b"3")),
    "an empty value": ((b"x-empty", b""), (b"x-a", b"1")),
    "names in any case": ((b"X-MiXed", b"1"), (b"x-lower", b"2")),
    "octets beyond ASCII": (
        (b"x-latin", b"caf\xe9"),
        (b"x-utf", "café €".encode()),
        (b"x-all", bytes(range(128, 256))),
    ),
    "a tab in a value": ((b"x-tab", b"a\tb"),),
    "delimiters in a value": ((b"x-q", b'"a, b"; c=\\"d\\", (e) <f> @g?={h}'),),
    "cookies": ((b"cookie", b"a=1; b=2"), (b"cookie", b"c=3")),
    "credentials for the agent": ((b"x-token", b"abc"), (b"authorization", b"Basic dTpw")),
    "conditions": (
        (b"if-none-match", b'"x", W/"y"'),
        (b"if-modified-since", b"Sat, 29 Oct 1994 19:43:31 GMT"),
    ),
    "a range": ((b"range", b"bytes=0-9,20-"), (b"if-range", b'"x"')),
    "what it accepts": (
        (b"accept", b"text/html;q=0.9, */*;q=0.1"),
        (b"accept-encoding", b"br;q=1.0, gzip, *;q=0"),
        (b"accept-language", b"de, en;q=0.5"),
    ),
    "tracing": (
        (b"traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        (b"tracestate", b"a=1"),
        (b"tracestate", b"b=2"),
        (b"baggage", b"k=v;p"),
    ),
    "a page's origin": (
        (b"origin", b"https://app.example.net"),
        (b"referer", b"https://app.example.net/x?y"),
    ),
    "via": ((b"via", b"1.1 edge"), (b"cdn-loop", b"edge")),
    "a name of all characters of a token": ((b"x!#$%&'*+-.^_`|~9", b"1"),),
    "a name with an underscore": ((b"x_under", b"1"), (b"x-under", b"2")),
    "a long value": ((b"x-long", LONG),),
    "a hundred fields": tuple((b"x-%d" % number, b"%d" % number) for number in range(90)),
    "fields that Connection names": ((b"x-a", b"1"), (b"connection", b"close")),
    "what a client says of a proxy": ((b"max-forwards", b"3"), (b"early-data", b"1")),
}

CASES: Final = (
    *(Case(f"method {method.decode()}", Request(method)) for method in METHODS),
    *(Case(f"method {method.decode()}", Request(method), wire=True) for method in TOKENS),
    *(Case(f"target {target[:30].decode('latin-1')}", Request(target=target)) for target in TARGETS),
    Case("an encoded NUL", Request(target=b"/%00"), wire=True),  # Azure's host refuses it
    Case("a whole URL as the target", Request(target=b"http://" + HOST + b"/e?a=1"), wire=True),
    *(Case(name, Request(fields=fields)) for name, fields in VALUES.items()),
    Case("a body of known length", POST),
    Case("an empty body of length 0", Request(b"POST", fields=(JSON,), framing="length")),
    Case("no body and no length", Request(b"POST")),
    Case("a GET with a body", Request(b"GET", body=b"abc", framing="length")),
    Case("a DELETE with a body", Request(b"DELETE", body=b"abc", framing="length")),
    Case("a HEAD with a body", Request(b"HEAD", body=b"abc", framing="length")),
    Case("a chunked body", Request(b"POST", fields=(TEXT,), body=b"in several chunks", framing="chunked")),
    Case("a chunked body of one octet each", Request(b"PUT", body=b"abcdef", framing="chunked", size=1)),
    Case("an empty chunked body", Request(b"POST", framing="chunked")),
    Case("a body with every octet", Request(b"POST", body=BYTES, framing="length")),
    Case("a chunked body with every octet", Request(b"POST", body=BYTES, framing="chunked", size=1000)),
    Case(
        "a compressed body",
        Request(b"POST", fields=((b"content-encoding", b"gzip"),), body=BYTES, framing="length"),
    ),
    Case(
        "a form",
        Request(
            b"POST",
            fields=((b"content-type", b"multipart/form-data; boundary=x"),),
            body=b"--x\r\n\r\na\r\n--x--",
            framing="length",
        ),
    ),
    Case(
        "a body that waits for 100",
        Request(b"POST", fields=(JSON, (b"expect", b"100-continue")), body=b'{"a": 1}', framing="length"),
    ),
    Case(
        "a chunked body that waits for 100",
        Request(b"POST", fields=((b"expect", b"100-continue"),), body=b"waits", framing="chunked"),
    ),
    Case(
        "fields behind the body of a request",
        Request(b"POST", body=b"abc", framing="chunked", trailers=((b"x-check", b"900150"), (b"x-a", b"1"))),
    ),
    Case("HTTP/1.0", Request(version=b"HTTP/1.0"), wire=True),
    Case(
        "HTTP/1.0 that is kept",
        Request(version=b"HTTP/1.0", fields=((b"connection", b"keep-alive"),)),
        wire=True,
    ),
    Case("a body of a megabyte", Request(b"POST", body=BYTES * 256, framing="length")),
    Case("a chunked body of a megabyte", Request(b"POST", body=BYTES * 256, framing="chunked", size=9_000)),
    Case(
        "a reply to a POST with a location",
        POST,
        Reply(201, b"Created", (TEXT, (b"location", b"/items/7?a=b"))),
    ),
)
