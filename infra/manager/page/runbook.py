"""What the states mean and what to do: in the page, which an operator may have when nothing else answers.

Pure. docs/how-to/dashboard.md has the same rows, which a test compares. A text may have `code`, *a sentence
of the page* and [a link](of docs/how-to).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from htpy import Node, a, caption, code, details, div, em, p, summary, table, tbody, td, th, thead, tr

# Documents that the manager serves as they are, under /runbook/.
DOCUMENTS = ("dashboard.md", "incident.md")
_PARTS = re.compile(r"`([^`]+)`|\*([^*]+)\*|\[([^\]]+)\]\(([^)]+)\)")


@dataclass(frozen=True, slots=True)
class Row:
    """A state as the page shows it, what it means, what to do."""

    shown: str
    meaning: str
    todo: str


TARGETS: Mapping[str, Row] = {
    "healthy": Row(
        "✓ healthy",
        "It serves its full share.",
        "Nothing. If a sentence stands below all the same, it names what limits it.",
    ),
    "slow-start": Row(
        "↗ slow-start",
        "It was out and gets a growing share.",
        "Wait. If it falls back again and again, look at its logs: it fails under load.",
    ),
    "degraded": Row(
        "! degraded",
        "It serves, and is slower or fails more often than the others, so it has a smaller share.",
        "Read the reason. If only this one is affected: `skyfleet logs`, the cloud's status page. "
        "Drain it if clients notice.",
    ),
    "ejected": Row(
        "✕ ejected",
        "Requests failed there. It gets none for a time that grows with repeats.",
        "The others have its share. Look at the agent's errors there; it comes back by itself.",
    ),
    "down": Row(
        "✕ down",
        "The checkers get no good answer.",
        "The others have its share. Look whether the cloud or the deployment is at fault "
        "([incident](incident.md)).",
    ),
    "cold": Row(
        "❄ cold",
        "It starts its first instance.",
        "Nothing: requests wait or go elsewhere. If it stays: set `minInstances`.",
    ),
    "draining": Row(
        "⇣ draining",
        "An operator has drained it.",
        "End the drain when the work is done. If a router has missed it: drain again.",
    ),
    "unknown": Row(
        "? unknown",
        "No router has reported it yet.",
        "If it stays longer than a minute: look at the routers.",
    ),
}
PAGE: Sequence[Row] = (
    Row(
        "*No target serves*",
        "Clients get errors.",
        "[Incident](incident.md). Is it the agent (all clouds at once), or what all of them depend on?",
    ),
    Row(
        "*No router answers*",
        "The manager knows nothing of the targets. Clients may be served all the same.",
        "Call a router yourself: `curl ROUTER/health`. Then look at the network between the manager and the "
        "clouds.",
    ),
    Row("*What is below is from …*", "The manager runs, and has read no router since then.", "The same."),
    Row(
        "*The router … does not answer*",
        "That router is away from here; the others decide alone. Charts lack its requests.",
        "If clients reach it, the problem is between it and the manager.",
    ),
    Row(
        "*The stack config has changed and is not deployed*",
        "The config was changed by hand, or a job has failed. The manager never overwrites it.",
        "Look at `git diff Pulumi.STACK.yaml`; deploy it, or put it back.",
    ),
    Row(
        "a checker has sent no fresh snapshot",
        "Its cloud's schedule or its function fails. Routers judge by the other checkers and by their own "
        "traffic.",
        "That cloud's logs of the checker.",
    ),
    Row(
        "the routers have different strategies",
        "One of them did not get the last change.",
        "Set the strategy again.",
    ),
    Row(
        "red bar: *Disconnected from the manager*",
        "The page gets no news. The picture is grey and as old as the bar says.",
        "Nothing while the manager restarts: the page connects again by itself. Else look whether its "
        "process runs.",
    ),
)


def todo(state: str) -> str:
    """What to do about a target in a state; without links."""
    row = TARGETS.get(state, TARGETS["unknown"])
    return re.sub(r" ?\(\[[^)]*\)\)", "", row.todo)


def section() -> Node:
    """Both tables, closed until they are asked for."""
    return details("#runbook")[
        summary["What the states mean and what to do"],
        _table("Targets", TARGETS.values()),
        _table("This page", PAGE),
        p(".quiet")[
            "In full, as text: ",
            [[a(href=f"/runbook/{name}")[f"docs/how-to/{name}"], " "] for name in DOCUMENTS],
        ],
    ]


def _table(name: str, rows: Iterable[Row]) -> Node:
    return div(".scroll", tabindex="0", role="region", aria_label=f"What the states mean: {name}")[
        table[
            caption[name],
            thead[tr[[th(scope="col")[each] for each in ("You see", "It means", "What to do")]]],
            tbody[
                [
                    tr[th(scope="row")[_text(row.shown)], td[_text(row.meaning)], td[_text(row.todo)]]
                    for row in rows
                ]
            ],
        ]
    ]


def _text(source: str) -> Node:
    """The parts of a text: code, quoted sentences, and links to the documents that the manager serves."""
    found: list[Node] = []
    end = 0
    for match in _PARTS.finditer(source):
        found.append(source[end : match.start()])
        if match[1]:
            found.append(code[match[1]])
        elif match[2]:
            found.append(em[match[2]])
        else:
            found.append(a(href=f"/runbook/{match[4]}")[match[3]])
        end = match.end()
    return [*found, source[end:]]
