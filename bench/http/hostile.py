"""The tables of hostile requests and replies: run the corpus against each contestant and judge it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.failover.peers.base import Bench
from bench.http import judge
from bench.http.cases import Fails, HostileReply, HostileRequest, Passed, Reaches, get, message
from bench.http.contestants import OWN, TITLES, Running, running
from bench.http.corpus import REPLIES, REQUESTS
from bench.http.wire import Script, converse

# A contestant that answers nothing within this time waits for more. An incomplete request is waited for less.
_PATIENCE_S: Final = 1.5
_SHORT_S: Final = 0.3
_SETTLE_S: Final = 15.0
_ASKED: Final = {
    "GET": get(target=b"/reply"),
    "HEAD": message(b"HEAD /reply HTTP/1.1", b"Host: agent.example"),
}


@dataclass(frozen=True, slots=True)
class Row:
    """A line of a table. cells: by contestant. findings: what is wrong; empty: nothing."""

    name: str
    rests_on: str
    expected: str
    cells: Mapping[str, str]
    findings: tuple[str, ...] = ()
    although: str = ""


def ask(one: Running, case: HostileRequest) -> judge.Result:
    """Run a case of requests against one contestant."""
    one.upstream.take()
    methods = [each.method if isinstance(each, Passed) else "GET" for each in case.expected]
    patience_s = _PATIENCE_S if case.expected else _SHORT_S
    talk = converse(one.port, case.writes, patience_s=patience_s, methods=methods)
    if not talk.closed:
        _settle(one)
    return judge.result(talk, one.upstream.take())


def _settle(one: Running) -> None:
    """Wait for what the connection's end has set free: it belongs to this case."""
    until = time.monotonic() + _SETTLE_S
    while time.monotonic() < until:
        time.sleep(_SHORT_S)
        if not one.upstream.pending:
            return


def answer(one: Running, case: HostileReply) -> judge.Result:
    """Run a case of replies against one contestant."""
    one.upstream.take()
    one.upstream.script = Script(case.writes, case.close)
    talk = converse(one.port, (_ASKED[case.method],), patience_s=_PATIENCE_S, methods=[case.method])
    one.upstream.script = Script()
    return judge.result(talk, one.upstream.take())


def _all(there: Mapping[str, Running], run: Callable[[Running], judge.Result]) -> dict[str, judge.Result]:
    """All contestants at once: most of the time is spent in waiting for what does not come."""
    with ThreadPoolExecutor(len(there)) as threads:
        return dict(zip(there, threads.map(run, there.values()), strict=True))


def request_row(case: HostileRequest, there: Mapping[str, Running]) -> Row:
    """A line of the table of requests."""
    results = _all(there, lambda one: ask(one, case))
    found = [*judge.faults(case, results[OWN]), *judge.findings(case, results, OWN)]
    cells = {name: judge.cell(one, case) for name, one in results.items()}
    return Row(case.name, case.rests_on, judge.outcome(case), cells, tuple(found), case.although)


def reply_row(case: HostileReply, there: Mapping[str, Running]) -> Row:
    """A line of the table of replies."""
    results = _all(there, lambda one: answer(one, case))
    match case.expected:
        case Reaches(status, body):
            expected = f"{status}, {len(body)} bytes"
        case Fails(agents_fault):
            expected = "agent's fault" if agents_fault else "broken connection"
        case _:
            expected = "truncated"
    cells = {name: judge.reply_cell(one, case.method) for name, one in results.items()}
    found = judge.reply_faults(case, results[OWN])
    return Row(case.name, case.rests_on, expected, cells, tuple(found), case.although)


def section(bench: Bench, folder: Path) -> str:
    """The part of docs/benchmarks/http.md about hostile input."""
    with running(bench, folder) as there:
        parts = [_INTRODUCTION.format(versions=_versions(there), counts=_counts())]
        missing: list[Row] = []
        for title, cases in REQUESTS.items():
            rows = [request_row(case, there) for case in cases]
            missing += [row for row in rows if row.findings]
            parts += [f"### Requests: {title}\n", table(rows, list(there))]
        rows = [reply_row(case, there) for case in REPLIES]
        missing += [row for row in rows if row.findings]
        parts += ["### Replies\n", table(rows, list(there))]
    for row in missing:
        bench.console.line(f"finding: {row.name}: {'; '.join(row.findings)}")
    parts.insert(1, _verdict(missing))
    return "\n".join(parts)


def table(rows: list[Row], names: list[str]) -> str:
    """A table in Markdown."""
    head = ["case", "rests on", "expected", *(TITLES[name] for name in names)]
    lines = [_line(head), _line(["---"] * len(head))]
    notes: list[str] = []
    for row in rows:
        mark = ""
        if row.although:
            if row.although not in notes:
                notes.append(row.although)
            mark = f" ({notes.index(row.although) + 1})"
        found = " **finding**" if row.findings else ""
        cells = [row.cells[name] for name in names]
        lines.append(
            _line([_code(row.name) + mark, row.rests_on, row.expected, cells[0] + found, *cells[1:]])
        )
    lines += [""] + [f"({number}) {note}" for number, note in enumerate(notes, 1)]
    return "\n".join(lines) + "\n"


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _code(name: str) -> str:
    """A name with a target in it is code, so that Markdown leaves it as it is."""
    before, colon, target = name.partition(": /")
    return f"{before}: `/{target}`" if colon else name


def _versions(there: Mapping[str, Running]) -> str:
    return ", ".join(f"{TITLES[name]} ({one.version})" for name, one in there.items())


def _counts() -> str:
    return f"{sum(len(cases) for cases in REQUESTS.values())} requests and {len(REPLIES)} replies"


def _verdict(missing: list[Row]) -> str:
    if not missing:
        return "No case has a finding.\n"
    return "\n".join(
        ["Findings:\n", *(f"- {_code(row.name)}: {'; '.join(row.findings)}" for row in missing), ""]
    )


_INTRODUCTION: Final = """\
## Hostile input

{counts} (`bench/http/corpus`), each sent to
{versions}.
Behind each is an upstream that records the bytes that it gets.

- *passes*: the upstream got exactly the request that a strict reading gives; *passes …*: it got that instead.
- A number is the status of a refusal. *waits*: the request was taken for incomplete.
- Right is what the column *expected* says. What this router passes on although a peer refuses it or reads it
  in another way is a **finding**, unless a note below its table says why that can do no harm.
- Fields are compared for this router only: nothing may reach an agent but fields of the head that was sent
  and the router's own.

`tests/http` holds the column *expected* in each run of the tests.
"""
