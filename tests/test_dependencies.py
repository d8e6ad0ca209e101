"""Claims about the project's shape: who imports whom, and that no file outgrows one idea."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parent.parent
ROOMS: Final = ("functions", "router", "infra", "emulator")
CORE: Final = (
    "targets",
    "policy",
    "gray",
    "health",
    "merge",
    "fleet",
    "selection",
    "traffic",
    "median",
    "late",
    "names",
    "turns",
    "learning",
    "learned",
    "roster",
    "budget",
    "refusals",
    "actions",
    "plan",
    "headers",
    "sse",
    "errors",
)
# Data in, data out: none of these reads a clock, the environment, the network or a file.
PLAIN: Final = {
    "__future__",
    "bisect",
    "collections",
    "dataclasses",
    "enum",
    "functions.values",
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


def sources(room: str) -> list[Path]:
    return sorted((ROOT / room).rglob("*.py"))


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


def ours(path: Path) -> set[str]:
    """Imported modules of this project."""
    return {name for name in imports(path) if name.split(".")[0] in (*ROOMS, "tests", "bench")}


def within(name: str, *allowed: str) -> bool:
    return any(name == one or name.startswith(one + ".") for one in allowed)


@pytest.mark.parametrize("name", CORE)
def test_the_core_imports_plain_data_modules_and_siblings_only(name: str) -> None:
    """Clock, randomness, environment, network and logging come in as arguments."""
    siblings = tuple(f"router.{sibling}" for sibling in CORE)
    for found in imports(ROOT / "router" / f"{name}.py"):
        by_parent = found.startswith("router.") and found.count(".") == 1
        assert within(found, *PLAIN, *siblings) or (by_parent and found.split(".")[1] in CORE), found


def test_functions_stand_alone() -> None:
    """What runs everywhere imports nothing of ours but itself."""
    for path in sources("functions"):
        assert all(within(name, "functions") for name in ours(path)), path


def test_the_router_imports_itself_and_the_keys_signing_and_values_of_functions() -> None:
    """Nothing else of the other rooms."""
    for path in sources("router"):
        for name in ours(path):
            assert within(name, "router", "functions.keys", "functions.signing", "functions.values"), (
                path,
                name,
            )


def test_nothing_imports_infra_and_only_its_operators_side_the_routers_core() -> None:
    """The program knows the other rooms as paths and environment keys; and it derives keys as routers do."""
    core = tuple(f"router.{name}" for name in CORE)
    for path in [*sources("functions"), *sources("router")]:
        assert not any(within(name, "infra") for name in ours(path)), path
    for path in sources("infra"):
        operators = path.relative_to(ROOT).parts[1] in ("cli", "manager", "dashboard")
        for name in ours(path):
            derives = path == ROOT / "infra" / "credentials.py" and within(name, "functions.keys")
            # The interpreter that the emulator runs functions on also tries an agent before a deployment.
            tries = path == ROOT / "infra" / "archive" / "tools.py" and within(name, "emulator.runtime")
            allowed = within(name, "infra") or derives or tries or (operators and within(name, *core))
            assert allowed, (path, name)


def test_the_emulator_imports_nothing_else_of_ours() -> None:
    """It knows the program by Pulumi's protocol, and runs built packages in child processes."""
    for path in sources("emulator"):
        assert all(within(name, "emulator") for name in ours(path)), path


@pytest.mark.parametrize("room", ROOMS)
def test_no_file_function_or_signature_outgrows_one_idea(room: str) -> None:
    """400 lines, 50 lines, 7 parameters."""
    assert [one for path in sources(room) for one in outgrown(path)] == []


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
