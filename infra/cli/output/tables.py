"""Tables for a terminal of any width.

The rule of this file: names and figures stay whole. Sentences fold at their spaces; where that is not enough,
columns that can be spared are left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions
    from rich.table import Table

# These fold, the widest first.
_TEXT_COLUMNS = ("why", "answers", "state", "url")
# No terminal is as wide.
_UNLIMITED = 10_000


@dataclass(frozen=True, slots=True)
class ResponsiveTable:
    """Rows of cells with rich's markup. right: columns of figures. spare: columns to do without, the first
    one first."""

    columns: tuple[str, ...]
    rows: Sequence[Sequence[str]]
    right: tuple[str, ...] = ()
    spare: tuple[str, ...] = ()

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Table]:
        from rich.measure import Measurement

        endless = options.update(max_width=_UNLIMITED)
        table = self._without(())
        for count in range(1, len(self.spare) + 1):
            if Measurement.get(console, endless, table).minimum <= options.max_width:
                break
            table = self._without(self.spare[:count])
        yield table

    def _without(self, omitted: Sequence[str]) -> Table:
        from rich import box
        from rich.table import Table
        from rich.text import Text

        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        kept = [number for number, column in enumerate(self.columns) if column not in omitted]
        for number in kept:
            name = self.columns[number]
            justify = "right" if name in self.right else "left"
            if name in _TEXT_COLUMNS:
                table.add_column(name, justify=justify, overflow="fold")
            else:
                widest = max((Text.from_markup(row[number]).cell_len for row in self.rows), default=0)
                table.add_column(name, justify=justify, no_wrap=True, min_width=max(widest, len(name)))
        for row in self.rows:
            table.add_row(*(row[number] for number in kept))
        return table
