"""Requests to httpbin (github.com/psf/httpbin) whose replies depend on nothing but the request.

Left out is what is random (`/uuid`, digests, `/cache` without a condition) or only waits, and chunked bodies,
which WSGI has no place for.
"""

from __future__ import annotations

from typing import Final

from tests.differential.model import JSON, Case, Request

FORM: Final = (b"content-type", b"application/x-www-form-urlencoded")
PARTS: Final = (b"content-type", b"multipart/form-data; boundary=x")
FILE: Final = (
    b'--x\r\ncontent-disposition: form-data; name="f"; filename="a.bin"\r\n\r\n'
    + bytes(range(256))
    + b"\r\n--x--\r\n"
)
OCTETS: Final = (b"content-type", b"application/octet-stream")
ZIP: Final = (b"accept-encoding", b"gzip, deflate, br")

GETS: Final = (
    *(b"/", b"/html", b"/robots.txt", b"/deny", b"/xml", b"/json", b"/encoding/utf8", b"/forms/post"),
    *(b"/get", b"/get?a=1&a=2&b=%20c&d", b"/ip", b"/user-agent", b"/headers", b"/cookies", b"/nothing"),
    *(b"/anything", b"/anything/a/b?x=%2F&y=%FF", b"/anything/caf%C3%A9", b"/anything/a%20b//c"),
    *(b"/gzip", b"/deflate", b"/brotli", b"/base64/SFRUUEJJTg%3D%3D", b"/links/3/1", b"/links/3"),
    *(
        b"/bytes/1000?seed=1",
        b"/bytes/70000?seed=1",
        b"/stream-bytes/5000?seed=1&chunk_size=300",
        b"/stream/3",
    ),
    *(b"/range/100", b"/range/100?chunk_size=7", b"/drip?duration=0&numbytes=20&delay=0", b"/delay/0"),
    *(b"/image/png", b"/image/jpeg", b"/image/webp", b"/image/svg", b"/cache/60"),
    *(b"/redirect/1", b"/redirect/3", b"/relative-redirect/2", b"/absolute-redirect/2"),
    *(b"/redirect-to?url=https%3A%2F%2Fexample.net%2Fx%3Fy&status_code=307", b"/redirect-to?url=%2Fget"),
    *(b"/cookies/set?a=1&b=2", b"/cookies/set/c/3", b"/cookies/delete?a"),
    *(
        b"/response-headers?x-a=1&x-a=2&Content-Type=text%2Fplain",
        b"/response-headers?Set-Cookie=a%3D1&Set-Cookie=b",
    ),
    *(b"/basic-auth/u/p", b"/hidden-basic-auth/u/p", b"/bearer", b"/etag/x"),
)
STATUSES: Final = (
    *(
        200,
        201,
        202,
        203,
        204,
        206,
        300,
        301,
        302,
        303,
        304,
        305,
        307,
        308,
        400,
        401,
        402,
        403,
        404,
        405,
        406,
    ),
    *(409, 410, 412, 418, 451, 500, 501, 505),
)
CONDITIONS: Final = (
    Request(target=b"/cache", fields=((b"if-none-match", b'"x"'),)),
    Request(target=b"/etag/x", fields=((b"if-none-match", b'"x"'),)),
    Request(target=b"/etag/x", fields=((b"if-match", b'"y"'),)),
    Request(target=b"/range/100", fields=((b"range", b"bytes=10-19"),)),
    Request(target=b"/range/100", fields=((b"range", b"bytes=-5"),)),
    Request(target=b"/range/100", fields=((b"range", b"bytes=200-"),)),
    Request(target=b"/image", fields=((b"accept", b"image/webp"),)),
    Request(target=b"/image", fields=((b"accept", b"text/plain"),)),
    Request(target=b"/brotli", fields=(ZIP,)),
    Request(target=b"/cookies", fields=((b"cookie", b"a=1; b=2"),)),
    Request(target=b"/basic-auth/u/p", fields=((b"x-tenant", b"a"), (b"authorization", b"Basic dTpw"))),
    Request(target=b"/bearer", fields=((b"authorization", b"Bearer abc"),)),
)
BODIES: Final = (
    Request(b"POST", b"/post", (JSON,), b'{"a": [1, "\xc3\xa9"]}', "length"),
    Request(b"POST", b"/post", (FORM,), b"a=1&a=2&b=%20", "length"),
    Request(b"POST", b"/post", (PARTS,), FILE, "length"),
    Request(b"POST", b"/post", (OCTETS,), bytes(range(256)), "length"),
    Request(b"POST", b"/post", (JSON, (b"expect", b"100-continue")), b"{}", "length"),
    Request(b"POST", b"/post", (), b"", "length"),
    Request(b"PUT", b"/put", (OCTETS,), b"x" * 100_000, "length"),
    Request(b"PATCH", b"/patch", (JSON,), b"{}", "length"),
    Request(b"DELETE", b"/delete", (), b"", "none"),
    Request(b"DELETE", b"/anything", (JSON,), b"{}", "length"),
    Request(b"PUT", b"/get", (), b"", "length"),
)

CASES: Final = (
    *(Case(f"GET {target.decode()}", Request(target=target)) for target in GETS),
    *(Case(f"HEAD {target.decode()}", Request(b"HEAD", target)) for target in (b"/", b"/json", b"/nope")),
    *(
        Case(f"OPTIONS {target.decode()}", Request(b"OPTIONS", target))
        for target in (b"/", b"/get", b"/anything")
    ),
    *(Case(f"status {code}", Request(target=b"/status/%d" % code)) for code in STATUSES),
    *(Case(f"condition {number}", request) for number, request in enumerate(CONDITIONS)),
    *(Case(f"body {number}", request) for number, request in enumerate(BODIES)),
)
