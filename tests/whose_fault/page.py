"""docs/whose-fault.md, made of what the cases showed."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.whose_fault.cases import CASES, Case
from tests.whose_fault.fleets import TIMES, Seen

PAGE = Path(__file__).resolve().parents[2] / "docs" / "whose-fault.md"

HEAD = f"""# Whose fault?

What clients see of the faults that users of gateways report most, and which cloud is blamed for each.
`python -m tests.whose_fault` writes this table from what a router with three targets does when it meets each
fault {TIMES} times, and a test compares it. The rules: [target health](explanation/target-health.md),
[life of a request](explanation/request.md), [what an agent can
say](agent.md#what-caused-a-reply-x-skyfleet-outcome).

| fault | the client gets | asked for one request | blamed | because |
| --- | --- | --- | --- | --- |
"""


def row(case: Case, seen: Seen) -> str:
    """A row of the table: what a case showed."""
    return f"| {case.fault} | {seen.client} | {seen.work} | {seen.blamed} | {case.rule} |"


async def _rows() -> list[str]:
    return [row(case, await case.play()) for case in CASES]


def write() -> None:
    """Play every case, one after another, and write the page."""
    PAGE.write_text(HEAD + "".join(f"{one}\n" for one in asyncio.run(_rows())), "utf-8")
