"""What most commands need of click: the checkout, and the option --json."""

from __future__ import annotations

from collections.abc import Callable

import click

from infra.operations.paths import Layout
from infra.setup.paths import ROOT

json_option: Callable[[Callable[..., None]], Callable[..., None]] = click.option(
    "--json", "as_json", is_flag=True, help="Print JSON for programs."
)


def current_layout() -> Layout:
    """The paths of the checkout whose sources run. A test passes others to click as `obj`."""
    return click.get_current_context().find_object(Layout) or Layout(ROOT)
