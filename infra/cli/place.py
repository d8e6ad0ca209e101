"""The target that `skyfleet create` and `skyfleet delete` name: `aws us-east-1`, or `aws/us-east-1` as the
status prints it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import click


def _place(context: click.Context, parameter: click.Parameter, words: Sequence[str]) -> tuple[str, str]:
    """Cloud and region. Raises UsageError for fewer or more."""
    parts = [part for word in words for part in word.split("/")]
    if len(parts) != 2 or not all(parts):
        raise click.UsageError(
            f"expected CLOUD REGION, such as aws us-east-1, found {' '.join(words)!r}.", context
        )
    return parts[0], parts[1]


place_argument: Callable[[Callable[..., None]], Callable[..., None]] = click.argument(
    "place", nargs=-1, required=True, metavar="CLOUD REGION", callback=_place
)
