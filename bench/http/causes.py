"""Why a peer changes an ordinary exchange: the notes below the table of docs/benchmarks/http.md.

Rules
- A cause names the peer's rule and its source, and says what this router does instead where that is another
  rule. The peers run as their packages ship them, so a directive that changes it is named.
- A difference without a cause is marked in the page.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from bench.router.contestants import HAPROXY, NGINX


@dataclass(frozen=True, slots=True)
class Cause:
    """peer: its name. cases: names of `tests.differential`. text: one line of the page."""

    peer: str
    cases: Sequence[str]
    text: str


CAUSES: Final = (
    Cause(
        NGINX,
        ("method get", "method x!#$%&'*+-.^_`|~9"),
        "nginx reads methods of capital letters, `_` and `-` only (`ngx_http_parse_request_line`). RFC "
        "9110, section 9.1, says that a method is any token, and that its case matters.",
    ),
    Cause(
        NGINX,
        ("target /..",),
        "nginx resolves dot segments to choose a location, and refuses those that lead above the root "
        "(`ngx_http_parse_complex_uri`). This router chooses by its own few paths and passes the target on "
        "as it came.",
    ),
    Cause(
        NGINX,
        ("an encoded NUL", "target /%", "target /%zz"),
        "nginx decodes the path to choose a location, and refuses what it cannot decode and a NUL.",
    ),
    Cause(
        HAPROXY,
        ("a whole URL as the target",),
        "HAProxy passes an absolute target on as it came. RFC 9112, section 3.2.1, asks for the path alone "
        "in a request to an origin server, and many servers compare their routes with the whole target.",
    ),
    Cause(
        NGINX,
        ("a name of all characters of a token",),
        "nginx drops a field whose name has other characters than letters, digits, `-` and `_` "
        "(`ignore_invalid_headers on`, the default). RFC 9110, section 5.1, permits any token.",
    ),
    Cause(
        NGINX,
        ("a name with an underscore",),
        "nginx drops names with an underscore (`underscores_in_headers off`, the default), since CGI makes "
        "the same variable of `x_a` and `x-a`. This router drops only those that are its own, or a "
        "platform's, when read so.",
    ),
    Cause(
        HAPROXY,
        ("HTTP/1.0", "HTTP/1.0 that is kept"),
        "HAProxy sends the client's version to the server. RFC 9112, section 2.3, has an intermediary send "
        "its own version; so an agent may answer this router in chunks.",
    ),
    Cause(
        NGINX,
        ("reply: a date of the agent",),
        "nginx hides the `Date` of a server and writes its own (`proxy_pass_header Date` would keep it). "
        "RFC 9110, section 6.6.1: it is the time at which the reply was made, and only a missing one is "
        "added.",
    ),
    Cause(
        NGINX,
        ("reply: a long value",),
        "The head of a reply has to fit into `proxy_buffer_size`, a page of memory (4 KiB here); nginx "
        "answers 502 to a longer one. This router takes 16 KiB a field.",
    ),
    Cause(
        NGINX,
        ("trailers", "announced trailers"),
        "nginx passes trailers on from version 1.27.2, with `proxy_pass_trailers on`; before that it drops "
        "them.",
    ),
    Cause(
        NGINX,
        ("early hints", "several interim replies"),
        "nginx before 1.29.0 takes an interim reply for the final one and waits for its body ([a "
        "report](https://github.com/nuxt/framework/issues/8306)); from then on it drops them, or passes "
        "them on where `early_hints` says so.",
    ),
)
UNEXPLAINED: Final = "**not explained**"


def cause_of(peer: str, case: str) -> Cause | None:
    """Why this peer changes the exchange of this case; None: there is no known cause."""
    return next((one for one in CAUSES if one.peer == peer and case in one.cases), None)
