"""Cases that hold only once the router's upstream client reads by `skyfleet.http1`."""

from __future__ import annotations

from typing import Final

REPLIES: Final = frozenset(
    {
        "status line with status 099",
        "status line with status 000",
        "status line with HTTP/2.0",
        "status line with a NUL in its reason",
        "field of 70 kB",
        "coding in HTTP/1.0",
        "chunk trailer that looks like a head",
    }
)
