"""Write docs/reference, or say what text.toml lacks: `python -m tools.reference`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from tools.reference.pages import pages
from tools.reference.text import IncompleteText

ROOT: Final = Path(__file__).parents[2]


def main() -> int:
    """Write every page; 1 when a description is missing or left over."""
    try:
        made = pages(ROOT)
    except IncompleteText as error:
        sys.stderr.write(f"{error}\n")
        return 1
    for name, text in made.items():
        path = ROOT / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
