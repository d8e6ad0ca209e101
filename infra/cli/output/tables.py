"""Tables for a terminal of any width.

The rule of this file: names, words and figures stay whole. Sentences fold at their spaces, a URL anywhere.
Where that is not enough, columns that can be spared are left out. An empty line follows each table.
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
URL_CELLS = 20
# Cells of box.SIMPLE_HEAD between two columns.
_BETWEEN = 3


@dataclass(frozen=True, slots=True)
class ResponsiveTable:
    """Rows of cells with rich's markup. right: columns of figures. spare: columns to do without, the first
    one first."""

    columns: tuple[str, ...]
    rows: Sequence[Sequence[str]]
    right: tuple[str, ...] = ()
    spare: tuple[str, ...] = ()

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Table | str]:
        least = [self._least(number) for number in range(len(self.columns))]
        kept = list(range(len(self.columns)))
        for name in self.spare:
            if sum(least[number] for number in kept) + _BETWEEN * (len(kept) - 1) <= options.max_width:
                break
            kept.remove(self.columns.index(name))
        yield self._table(kept, least)
        yield ""

    def _least(self, number: int) -> int:
        """The cells that a column cannot do without."""
        from rich.text import Text

        name = self.columns[number]
        texts = [name, *(Text.from_markup(row[number]).plain for row in self.rows)]
        if name in _TEXT_COLUMNS:
            texts = [word for text in texts for word in text.split()]
        widest = max(Text(text).cell_len for text in texts)
        return min(widest, URL_CELLS) if name == "url" else widest

    def _table(self, kept: Sequence[int], least: Sequence[int]) -> Table:
        from rich import box
        from rich.table import Table

        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
        for number in kept:
            name = self.columns[number]
            table.add_column(
                name,
                justify="right" if name in self.right else "left",
                min_width=least[number],
                no_wrap=name not in _TEXT_COLUMNS,
                overflow="fold" if name in _TEXT_COLUMNS else "ellipsis",
            )
        for row in self.rows:
            table.add_row(*(row[number] for number in kept))
        return table
