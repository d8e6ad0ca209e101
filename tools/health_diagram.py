"""The figure in docs/explanation/target-health.md, drawn from the health table itself.

`python -m tools.health_diagram docs/explanation/target-health.md` writes it between the two marks; a test
fails when it is stale. Transitions that change nothing are left out, and so is `draining`, which every status
enters alike.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from router.core.health.machine import TABLE, Status

BEGIN: Final = (
    "<!-- health table: made by python -m tools.health_diagram docs/explanation/target-health.md -->"
)
END: Final = "<!-- end of health table -->"


def mermaid() -> str:
    """The table as a Mermaid state diagram, one transition for each pair of statuses."""
    merged: dict[tuple[Status, Status], list[str]] = {}
    for (status, event), after in TABLE.items():
        if status is not after and Status.DRAINING not in (status, after):
            merged.setdefault((status, after), []).append(event)
    lines = [f"    {before} --> {after}: {', '.join(events)}" for (before, after), events in merged.items()]
    return "\n".join(["```mermaid", "stateDiagram-v2", "    [*] --> unknown", *lines, "```"])


def refreshed(text: str) -> str:
    """The document with the figure of today."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{mermaid()}\n{END}{after}"


def main(arguments: list[str]) -> None:
    """Rewrite the files that are named."""
    for name in arguments:
        path = Path(name)
        path.write_text(refreshed(path.read_text("utf-8")), "utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
