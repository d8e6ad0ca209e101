"""How simple the code is, counted: `python -m tools.counts` prints the table and writes its page.

Each row is a count that can be repeated, beside the same count at the commit where the work on it began.
"""

from __future__ import annotations

import ast
import json
import subprocess
import sys
import threading
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final, cast

from tools import check_words

ROOT: Final = Path(__file__).parents[1]
PAGE: Final = "docs/benchmarks/counts.md"
BEFORE: Final = "0db1ae2"
# The object with the state of a router instance, and the file of its class.
STATE: Final = frozenset(("balancer", "_balancer"))
STATE_FILE: Final = "router/core/balance/balancer.py"
CHANGING: Final = frozenset(
    ("add", "append", "clear", "discard", "forget", "note", "pop", "setdefault", "update")
)
LONGEST_SUBJECT: Final = 72


@dataclass(frozen=True, slots=True)
class Row:
    """One count: before and after, the aim, and the command or rule by which it is counted."""

    point: str
    before: str
    aim: str
    now: str
    how: str


class Target(BaseHTTPRequestHandler):
    """A target that replies at once, as an agent does."""

    protocol_version = "HTTP/1.1"
    wbufsize = 65_536  # head and body in one write, as an agent sends them
    BODY: Final = b'{"output": "cba"}'

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(self.BODY)))
        self.send_header("endpoint-load-metrics", "TEXT application_utilization=0.1,rps_fractional=10.0")
        self.end_headers()
        self.wfile.write(self.BODY)

    do_GET = do_POST

    def log_message(self, format: str, *args: object) -> None:
        """Print nothing."""


@contextmanager
def target() -> Generator[int]:
    """A target on loopback; its port."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Target)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def printed(*arguments: str) -> object:
    """What a Python program prints as JSON."""
    done = subprocess.run(
        [sys.executable, "-P", *arguments], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


def modules(folder: Path) -> list[Path]:
    """The Python files of a package but its `__init__.py`."""
    return sorted(path for path in folder.rglob("*.py") if path.name != "__init__.py")


def imported_by_checker() -> int:
    """Modules of the router that `router.checker` loads."""
    script = (
        "import json, sys; sys.path.insert(0, ''); import router.checker; "
        "print(json.dumps([name for name, module in sys.modules.items() "
        "if name.startswith('router.') and not hasattr(module, '__path__')]))"
    )
    return len(cast("list[str]", printed("-c", script)))


def writers(root: Path) -> list[str]:
    """Router files, other than that of its class, that change the state of the instance."""
    paths = [path for path in modules(root / "router") if path != root / STATE_FILE]
    return [
        str(path.relative_to(root))
        for path in paths
        if any(map(changes_state, ast.walk(ast.parse(path.read_text()))))
    ]


def changes_state(node: ast.AST) -> bool:
    """Whether a statement assigns to a part of the state, or a call changes a collection of it."""
    if isinstance(node, ast.Assign):
        return any(map(_of_state, node.targets))
    if isinstance(node, ast.AugAssign | ast.AnnAssign):
        return _of_state(node.target)
    if isinstance(node, ast.Delete):
        return any(map(_of_state, node.targets))
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        return node.func.attr in CHANGING and _of_state(node.func.value)
    return False


def _of_state(node: ast.expr) -> bool:
    """`balancer.x`, `self._balancer.x[y]`, also within a tuple."""
    if isinstance(node, ast.Tuple):
        return any(map(_of_state, node.elts))
    if isinstance(node, ast.Subscript):
        return _of_state(node.value)
    return isinstance(node, ast.Attribute) and _name(node.value) in STATE


def _name(node: ast.expr) -> str:
    if isinstance(node, ast.Name):
        return node.id
    return node.attr if isinstance(node, ast.Attribute) else ""


def words() -> int:
    """Words in the whole repository that docs/glossary.md replaces."""
    rule = check_words.rules((ROOT / check_words.GLOSSARY).read_text("utf-8"))
    texts = (
        (path.relative_to(ROOT).as_posix(), path.read_text("utf-8")) for path in check_words.files([ROOT])
    )
    return sum(1 for name, text in texts for _ in check_words.words_in(name, text, rule))


def subjects() -> tuple[int, int]:
    """Commits since the work began, and those with a subject over 72 characters."""
    listed = subprocess.run(
        ["git", "log", "--format=%s", f"{BEFORE}..HEAD"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    return len(listed), sum(len(subject) > LONGEST_SUBJECT for subject in listed)


def rows() -> Iterator[Row]:
    """Every count of today."""
    with target() as port:
        request = cast("dict[str, Any]", printed("-m", "tools.one_request", str(port)))
        calls = cast("dict[str, float]", printed("-m", "bench.router.calls", str(port)))["calls"]
    files = cast("list[str]", request["files"])
    total = len(modules(ROOT / "router"))
    trace = "`python -m tools.one_request PORT`"
    yield Row(
        "router files executed by one keyless `POST /invoke`",
        "23 of 51",
        "15",
        f"{len(files)} of {total}",
        trace,
    )
    yield Row("calls from one router file into another", "69", "30", str(request["hops"]), trace)
    yield Row("crossings attempt, forward", "11", "4", str(request["crossings"]), trace)
    yield Row("Python calls of it", "432", "200", f"{calls:.0f}", "`python -m bench.router.calls PORT`")
    yield Row(
        "modules that `router.checker` imports",
        "43 of 51",
        "those it uses",
        f"{imported_by_checker()} of {total}",
        "`sys.modules` after the import",
    )
    outside = writers(ROOT)
    yield Row(
        "files that write the instance's state outside its class",
        "8",
        "0",
        str(len(outside)) + (f" ({', '.join(Path(name).stem for name in outside)})" if outside else ""),
        "assignments to a `balancer`'s attributes in `router/`",
    )
    yield Row(
        "words that the glossary replaces",
        "310 + 154 in tests",
        "0",
        str(words()),
        "`python -m tools.check_words`",
    )
    count, long = subjects()
    yield Row(
        "commit subjects over 72 characters",
        "122 of 258",
        "0",
        f"{long} of {count} since",
        f"`git log {BEFORE}..`",
    )


def page(found: Sequence[Row]) -> str:
    """The page with the table."""
    lines = [
        "# Counts",
        "",
        f"Written by `make counts`. *Before* is commit {BEFORE}, by the same commands; its words",
        "are seven for persons, today's all of the [glossary](../glossary.md#words-that-are-not-used).",
        "",
        "| point | before | aim | now | counted by |",
        "| --- | --- | --- | --- | --- |",
        *(f"| {row.point} | {row.before} | {row.aim} | **{row.now}** | {row.how} |" for row in found),
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Print the table and write the page."""
    text = page(list(rows()))
    (ROOT / PAGE).write_text(text, "utf-8")
    print(text)  # noqa: T201 - its output


if __name__ == "__main__":
    main()
