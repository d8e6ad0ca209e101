"""Claims that import-linter cannot make: plain modules of the core, sizes of files, docstrings of tests.

Which package may import which is in pyproject.toml.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parent.parent
PACKAGES: Final = ("skyfleet", "functions", "router", "infra", "emulator", "examples", "tools")
# Data in, data out: none of these reads a clock, the environment, the network or a file.
PLAIN: Final = {
    "__future__",
    "bisect",
    "collections",
    "dataclasses",
    "email.utils",
    "enum",
    "skyfleet.contract",
    "skyfleet.values",
    "functools",
    "hashlib",
    "heapq",
    "itertools",
    "json",
    "math",
    "re",
    "statistics",
    "typing",
    "urllib.parse",
}


def sources(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def imports(path: Path) -> Iterator[str]:
    """Every module a file imports, relative ones resolved, also inside functions."""
    package = path.relative_to(ROOT).with_suffix("").parts[:-1]
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join([*base, *([node.module] if node.module else [])])
            yield from (f"{module}.{alias.name}" for alias in node.names)


def within(name: str, *allowed: str) -> bool:
    return any(name == one or name.startswith(one + ".") for one in allowed)


def test_the_core_imports_plain_data_modules_and_itself_only() -> None:
    """Clock, randomness, environment, network and logging come in as arguments."""
    for path in sources("router/core"):
        for found in imports(path):
            assert within(
                found,
                *PLAIN,
                "router.core",
                "skyfleet.sse",
                "skyfleet.asgi.Header",
                "skyfleet.asgi.SAFE_METHODS",
                "skyfleet.asgi.error_json",
                "skyfleet.cors",
                "skyfleet.forwarded",
                "skyfleet.idempotency_key",
                "skyfleet.orca",
                "skyfleet.origin",
            ), (
                path,
                found,
            )


@pytest.mark.parametrize("package", PACKAGES)
def test_no_file_function_or_signature_outgrows_one_idea(package: str) -> None:
    """400 lines, 50 lines, 7 parameters."""
    assert [one for path in sources(package) for one in outgrown(path)] == []


def outgrown(path: Path) -> Iterator[str]:
    """What is too large in a file, and by how much."""
    text, name = path.read_text("utf-8"), path.relative_to(ROOT)
    if (lines := len(text.splitlines())) > 400:
        yield f"{name}: {lines} lines"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            if (lines := (node.end_lineno or 0) - node.lineno + 1) > 50:
                yield f"{name}:{node.lineno} {node.name}: {lines} lines"
            listed = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            if (count := sum(one.arg not in ("self", "cls") for one in listed)) > 7:
                yield f"{name}:{node.lineno} {node.name}: {count} parameters"


def test_each_test_states_its_rule_in_its_docstring() -> None:
    """The name says the case, the docstring the rule."""
    silent = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in sources("tests")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        if node.name.startswith("test_") and not ast.get_docstring(node)
    ]
    assert silent == []
