"""The path of a request as an agent on AWS Lambda gets it.

The Lambda Web Adapter makes a URL of each event, as browsers do: dot segments are removed, encoded ones too
(url.spec.whatwg.org, "path state"; seen with the adapter's binary). A signature over the path as sent would
be wrong for the agent behind it.
"""

from __future__ import annotations

from typing import Final

_ONE: Final = frozenset({b".", b"%2e"})
_TWO: Final = frozenset({b"..", b".%2e", b"%2e.", b"%2e%2e"})


def without_dot_segments(path: bytes) -> bytes:
    """A path as sent, without its dot segments. The same path if it has none."""
    kept: list[bytes] = []
    segments = path[1:].split(b"/")
    for number, segment in enumerate(segments, 1):
        name = segment.lower()
        if name in _TWO:
            del kept[-1:]
        elif name not in _ONE:
            kept.append(segment)
            continue
        if number == len(segments):
            kept.append(b"")
    return b"/" + b"/".join(kept)
