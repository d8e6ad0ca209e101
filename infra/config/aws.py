"""Amazon's own part of the stack config, `skyfleet:aws`: what no other cloud has.

Rule of this file: reading and checking only, as in settings.py; what a value does stands where it is used.
"""

from __future__ import annotations

from dataclasses import dataclass

from infra.config.validation import Mistakes

EXAMPLE = "{concurrency: 50}"
# More than any account is known to have; a slip of the finger is caught here, the quota by Lambda itself.
MOST_CONCURRENCY = 100_000


@dataclass(frozen=True, slots=True)
class Amazon:
    """concurrency: the most requests that each agent and each router on Lambda takes at once, reserved for it
    out of the account's quota; None: each may take all of the region's quota."""

    concurrency: int | None = None


DEFAULT = Amazon()


def read_amazon(mistakes: Mistakes, value: object) -> Amazon:
    """Every key is optional. A reservation lowers what the rest of the account may use: hence no default."""
    key = "skyfleet:aws"
    given = mistakes.mapping(key, value, EXAMPLE)
    mistakes.known_keys(key, given, ("concurrency",), EXAMPLE)
    if given.get("concurrency") is None:
        return DEFAULT
    most = mistakes.number(
        f"{key}.concurrency",
        given["concurrency"],
        1,
        least=1,
        most=MOST_CONCURRENCY,
        whole=True,
        example="50",
    )
    return Amazon(int(most))
