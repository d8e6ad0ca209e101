"""The table of ordinary exchanges: each directly and through a contestant, and what differs.

Rules
- The cases are those of `tests/differential`, whose tests hold that this router has no difference.
- What this router documents may differ for each contestant, and what a server or a proxy says of itself: the
  peers run as their packages ship them.
"""

from __future__ import annotations

import contextlib
import textwrap
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from bench.failover.peers.base import Absent, Bench
from bench.http.causes import UNEXPLAINED, Cause, cause_of
from bench.http.contestants import NAMES, TITLES, started
from tests.differential import compare, platforms, reply_cases, request_cases
from tests.differential.client import Got, exchange
from tests.differential.model import Case, Header
from tests.differential.recorder import Recorder, Seen, recording
from tests.differential.wire import Closed, Malformed

AUTHORITY: Final = b"agent.example.net:8080"
CASES: Final = (*request_cases.CASES, *reply_cases.CASES)
OF_PROXIES: Final = frozenset({b"server", b"via", b"x-forwarded-for", b"x-forwarded-proto", b"x-real-ip"})


def section(bench: Bench, folder: Path) -> str:
    """The part of docs/benchmarks/http.md about ordinary exchanges."""
    versions: dict[str, str] = {}
    found: dict[str, dict[str, str]] = {}
    with recording() as upstream:
        direct = {case.name: _exchange(upstream, upstream.address, case) for case in CASES}
        for name in NAMES:
            with contextlib.suppress(Absent), started(bench, folder, name, upstream.port) as (port, version):
                versions[name] = version
                address = ("127.0.0.1", port)
                found[name] = {case.name: _cell(upstream, address, case, direct[case.name]) for case in CASES}
    return page(versions, found)


def _exchange(upstream: Recorder, address: tuple[str, int], case: Case) -> tuple[list[Seen], Got]:
    upstream.reply = case.reply
    upstream.seen.clear()
    got = exchange(address, case.request, AUTHORITY)
    seen = [replace(one, fields=_own(one.fields)) for one in upstream.seen]
    return seen, platforms.once(replace(got, fields=_own(got.fields)))


def _own(fields: Iterable[Header]) -> tuple[Header, ...]:
    """Without what proxies say of themselves, by name: only the order of fields of one name has a meaning
    (RFC 9110, section 5.3)."""
    kept = [field for field in fields if field[0] not in OF_PROXIES]
    return tuple(sorted(kept, key=lambda field: field[0]))


def _cell(upstream: Recorder, address: tuple[str, int], case: Case, direct: tuple[list[Seen], Got]) -> str:
    """What differs in one exchange through a contestant; empty: nothing."""
    try:
        seen, got = _exchange(upstream, address, case)
    except (Closed, Malformed, OSError) as error:
        return f"no reply ({type(error).__name__})"
    if not seen:
        return f"refused with {got.status}"
    (asked,), answered = direct
    if not any(name == b"date" for name, _ in answered.fields):
        got = replace(got, fields=tuple(field for field in got.fields if field[0] != b"date"))
    return ", ".join(
        [
            *_words(compare.requests(asked, seen[0]), asked.fields, seen[0].fields, compare.OF_REQUEST),
            *_words(compare.replies(answered, got), answered.fields, got.fields, compare.OF_REPLY),
        ]
    )


def _words(
    differences: Iterable[str],
    direct: Iterable[Header],
    through: Iterable[Header],
    ignored: frozenset[bytes],
) -> list[str]:
    """Each difference in a word; of fields, their names."""
    words: list[str] = []
    for difference in differences:
        word = difference.partition(":")[0]
        if word == "fields":
            lost, gained = Counter(direct) - Counter(through), Counter(through) - Counter(direct)
            changed = sorted({name for name, _ in lost + gained} - ignored)
            word = " ".join(f"`{name.decode('latin-1')}`" for name in changed)
        words.append(word)
    return words


def page(versions: Mapping[str, str], found: Mapping[str, Mapping[str, str]]) -> str:
    """The section. found: for each contestant, what differs in each case; empty: nothing."""
    names, causes = list(found), list[Cause]()
    equal = ", ".join(
        f"{TITLES[name]} ({versions[name]}) {sum(not cell for cell in found[name].values())}"
        for name in names
    )
    rows = [
        [_code(case.name), *(_told(name, case.name, found[name][case.name], causes) for name in names)]
        for case in CASES
        if any(found[name][case.name] for name in names)
    ]
    head = ["case", *(TITLES[name] for name in names)]
    lines = ["| " + " | ".join(cells) + " |" for cells in (head, ["---"] * len(head), *map(_cells, rows))]
    notes = [textwrap.fill(f"({number}) {cause.text}", 120) + "\n" for number, cause in enumerate(causes, 1)]
    return _INTRODUCTION.format(cases=len(CASES), equal=equal) + "\n".join([*lines, "", *notes])


def _told(contestant: str, case: str, difference: str, causes: list[Cause]) -> str:
    """A cell: what differs, and the number of its cause. causes: those of the cells before it."""
    if not difference:
        return "equal"
    cause = cause_of(contestant, case)
    if cause is None:
        return f"{difference} {UNEXPLAINED}"
    if cause not in causes:
        causes.append(cause)
    return f"{difference} ({causes.index(cause) + 1})"


def _cells(row: list[str]) -> list[str]:
    return [cell.replace("|", "\\|") for cell in row]


def _code(name: str) -> str:
    """A name with a target or an escape in it is code, so that Markdown leaves it as it is."""
    return f"`{name}`" if set(name) & set("\\*_<`/'%&#") else name


_INTRODUCTION: Final = """\
## Ordinary exchanges

{cases} exchanges (`tests/differential`), each made directly with a recording upstream and through a
contestant. Left out are the fields that this router documents, what a proxy says of itself, the order of
fields with different names, and whether repeated fields of a reply are joined by commas. Equal to the direct
exchange, octet by octet, are: {equal}.

The table has the cases in which one differs: the field or the part of the exchange that is another one, and
the number of its cause below the table. Fields behind the body of a request are left out of the comparison:
HAProxy passes them on, nginx and this router do not
([why](../limits.md#sizes-and-slow-clients)).

"""
