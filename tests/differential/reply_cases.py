"""The differential cases of replies: statuses, fields, bodies, how they end."""

from __future__ import annotations

from typing import Final

from tests.differential.model import JSON, TEXT, Case, Headers, Reply, Request

BYTES: Final = bytes(range(256)) * 16
HEAD: Final = Request(b"HEAD")
# A client that reads fields behind a body says so (RFC 9110, section 10.1.4).
TRAILERS: Final = Request(fields=((b"te", b"trailers"), (b"connection", b"te")))
HINTS: Final = ((b"link", b"</a.css>; rel=preload"), (b"x-a", b"1"))
GZIP: Final = bytes.fromhex("1f8b08000000000000ff4bcbcc4b05005a6a0bf804000000")

# Statuses with a reply that passes a router with one target.
STATUSES: Final = (
    *((200, b"OK"), (201, b"Created"), (202, b"Accepted"), (203, b"Non-Authoritative Information")),
    *((206, b"Partial Content"), (207, b"Multi-Status"), (226, b"IM Used"), (299, b"Odd")),
    *((300, b"Multiple Choices"), (301, b"Moved Permanently"), (302, b"Found"), (303, b"See Other")),
    *((307, b"Temporary Redirect"), (308, b"Permanent Redirect"), (399, b"Odd")),
    *((400, b"Bad Request"), (401, b"Unauthorized"), (402, b"Payment Required"), (403, b"Forbidden")),
    *((404, b"Not Found"), (405, b"Method Not Allowed"), (406, b"Not Acceptable"), (407, b"Proxy")),
    *(
        (409, b"Conflict"),
        (410, b"Gone"),
        (411, b"Length Required"),
        (412, b"Precondition Failed"),
        (413, b"Content Too Large"),
    ),
    *(
        (415, b"Unsupported Media Type"),
        (416, b"Range Not Satisfiable"),
        (418, b"I'm a teapot"),
        (422, b"Unprocessable Content"),
        (428, b"Precondition Required"),
    ),
    *((431, b"Request Header Fields Too Large"), (451, b"Unavailable For Legal Reasons"), (499, b"Odd")),
    *((500, b"Internal Server Error"), (501, b"Not Implemented"), (505, b"HTTP Version Not Supported")),
    *((507, b"Insufficient Storage"), (511, b"Network Authentication Required"), (599, b"Odd")),
)
# An empty one is left out: a server writes the usual phrase then.
REASONS: Final = (b"Fine By Me", b"caf\xe9", b"OK  spaced\tout")
FIELDS: Final[dict[str, Headers]] = {
    "cookies": (
        (b"set-cookie", b"a=1; Path=/; HttpOnly"),
        (b"set-cookie", b"b=2; Expires=Wed, 21 Oct 2026 07:28:00 GMT, x"),
        (b"set-cookie", b"a=3"),
    ),
    "repeated fields": ((b"x-a", b"1"), (b"x-b", b"2"), (b"x-a", b"3")),
    "challenges": ((b"www-authenticate", b"Basic realm=a"), (b"www-authenticate", b'Bearer scope="b"')),
    "links": ((b"link", b"</a>; rel=preload"), (b"link", b"</b>; rel=next")),
    "octets beyond ASCII": (
        (b"x-latin", b"caf\xe9"),
        (b"x-utf", "café €".encode()),
        (b"x-all", bytes(range(128, 256))),
    ),
    "an empty value": ((b"x-empty", b""),),
    "a tab in a value": ((b"x-tab", b"a\tb"),),
    "a type with parameters": ((b"content-type", b'multipart/mixed; boundary="a b"'),),
    "caching": (
        (b"cache-control", b"no-cache, max-age=0"),
        (b"etag", b'W/"x"'),
        (b"expires", b"0"),
        (b"last-modified", b"Sat, 29 Oct 1994 19:43:31 GMT"),
        (b"age", b"7"),
        (b"vary", b"Accept, Cookie"),
    ),
    "a date of the agent": ((b"date", b"Sat, 29 Oct 1994 19:43:31 GMT"),),
    "a page's policy": (
        (b"content-security-policy", b"default-src 'self'"),
        (b"access-control-allow-origin", b"*"),
        (b"access-control-expose-headers", b"x-a"),
    ),
    "a name of all characters of a token": ((b"x!#$%&'*+-.^_`|~9", b"1"),),
    "a relative location": ((b"location", b"../items/7?a=b#c"),),
    "a location elsewhere": ((b"location", b"https://example.net/x?y=http://a"),),
    "a file": ((b"content-disposition", b"attachment; filename*=UTF-8''caf%C3%A9"),),
    "what it allows": ((b"allow", b"GET, PROPFIND"), (b"accept-ranges", b"bytes"), (b"accept-patch", b"a/b")),
    "a long value": ((b"x-long", b"x" * 8_000),),
    "a hundred fields": tuple((b"x-%d" % number, b"%d" % number) for number in range(90)),
    "names in any case": ((b"X-MiXed", b"1"),),
    "via": ((b"via", b"1.1 agent"), (b"warning", b'199 - "x"')),
    "what made it": ((b"x-powered-by", b"agents"),),
}

CASES: Final = (
    *(
        Case(f"status {status}", reply=Reply(status, reason, body=b"%d" % status))
        for status, reason in STATUSES
    ),
    *(Case(f"reason {reason!r}", reply=Reply(200, reason), wire=True) for reason in REASONS),
    *(Case(f"reply: {name}", reply=Reply(fields=fields)) for name, fields in FIELDS.items()),
    Case("204", reply=Reply(204, b"No Content", (), b"", "none")),
    Case("204 to a POST", Request(b"POST", framing="length"), Reply(204, b"No Content", (), b"", "none")),
    Case("205", reply=Reply(205, b"Reset Content", (), b"", "length")),
    Case("304", reply=Reply(304, b"Not Modified", ((b"etag", b'"x"'),), b"", "none")),
    Case(
        "304 with a length",
        reply=Reply(304, b"Not Modified", ((b"etag", b'"x"'),), b"", length=1234),
        wire=True,  # the emulated front ends leave the length out
    ),
    Case("a HEAD", HEAD, Reply(body=b"", length=1234)),
    Case("a HEAD of a small document", HEAD, Reply(fields=(JSON,), body=b"", length=12)),
    Case("a HEAD without a length", HEAD, Reply(body=b"", framing="none")),
    Case("a HEAD of a chunked reply", HEAD, Reply(body=b"", framing="chunked"), wire=True),
    Case("a HEAD with an error", HEAD, Reply(404, b"Not Found", body=b"", length=99)),
    Case("an empty reply", reply=Reply(body=b"")),
    Case("an empty chunked reply", reply=Reply(body=b"", framing="chunked")),
    Case("a chunked reply", reply=Reply(body=b"in several chunks", framing="chunked")),
    Case(
        "a chunked document",
        reply=Reply(fields=(JSON,), body=b'{"a": "in several chunks"}', framing="chunked"),
    ),
    Case("every octet", reply=Reply(body=BYTES)),
    Case("every octet in chunks", reply=Reply(body=BYTES, framing="chunked", size=100)),
    Case("a compressed reply", reply=Reply(fields=(TEXT, (b"content-encoding", b"gzip")), body=GZIP)),
    Case("a reply that ends by closing", reply=Reply(body=b"until the end", framing="close"), wire=True),
    Case("a large reply that ends by closing", reply=Reply(body=BYTES * 64, framing="close"), wire=True),
    Case(
        "a part of a document",
        Request(fields=((b"range", b"bytes=0-3"),)),
        Reply(206, b"Partial Content", (TEXT, (b"content-range", b"bytes 0-3/9")), b"abcd"),
    ),
    Case(
        "several parts",
        Request(fields=((b"range", b"bytes=0-1,4-5"),)),
        Reply(
            206,
            b"Partial Content",
            ((b"content-type", b"multipart/byteranges; boundary=x"),),
            b"--x\r\n\r\nab\r\n--x--",
        ),
    ),
    Case(
        "no part",
        Request(fields=((b"range", b"bytes=99-"),)),
        Reply(416, b"Range Not Satisfiable", (TEXT, (b"content-range", b"bytes */9")), b""),
    ),
    Case(
        "trailers",
        TRAILERS,
        Reply(body=b"abc", framing="chunked", trailers=((b"x-check", b"900150"), (b"x-a", b"\xe9"))),
        wire=True,
    ),
    Case(
        "announced trailers",
        TRAILERS,
        Reply(
            fields=(TEXT, (b"trailer", b"x-check")),
            body=b"abc",
            framing="chunked",
            trailers=((b"x-check", b"900150"),),
        ),
        wire=True,
    ),
    Case("early hints", reply=Reply(interim=((103, b"Early Hints", HINTS[:1]),)), wire=True),
    Case(
        "several interim replies",
        reply=Reply(
            interim=(
                (102, b"Processing", ()),
                (103, b"Early Hints", HINTS[:1]),
                (103, b"Early Hints", HINTS),
            )
        ),
        wire=True,
    ),
    Case(
        "events",
        reply=Reply(
            fields=((b"content-type", b"text/event-stream"),),
            body=b"data: a\n\nid: 1\ndata: b\n\n",
            framing="chunked",
        ),
    ),
    Case("a reply of a megabyte", reply=Reply(body=BYTES * 256)),
    Case("a chunked reply of a megabyte", reply=Reply(body=BYTES * 256, framing="chunked", size=9_000)),
)
