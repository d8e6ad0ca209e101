"""Claims about the project's shape: who imports whom, and that no file outgrows one idea."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parent.parent
ROOMS: Final = ("skyfleet", "functions", "router", "infra", "emulator", "tools")
# Data in, data out: none of these reads a clock, the environment, the network or a file.
PLAIN: Final = {
    "__future__",
    "bisect",
    "collections",
    "dataclasses",
    "email.utils",
    "enum",
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


def test_the_core_imports_plain_data_modules_and_itself_only() -> None:
    """Clock, randomness, environment, network and logging come in as arguments."""
    for path in sources("router/core"):
        for found in imports(path):
            assert within(
                found, *PLAIN, "router.core", "skyfleet.sse", "skyfleet.signing.Header", "skyfleet.origin"
            ), (
                path,
                found,
            )


def test_what_is_shared_imports_nothing_else_of_ours() -> None:
    """The agent, the router and the checker carry it."""
    for path in sources("skyfleet"):
        assert all(within(name, "skyfleet") for name in ours(path)), path


def test_functions_import_themselves_and_what_is_shared() -> None:
    """What runs everywhere knows no router and no deployment."""
    for path in sources("functions"):
        assert all(within(name, "functions", "skyfleet") for name in ours(path)), path


# Which sub-package of the router may import which, beside itself and the shared package.
LAYERS: Final = {
    "core": (),
    "net": (),
    "proxy": ("router.core", "router.net"),
    "sync": ("router.core", "router.net"),
}


@pytest.mark.parametrize("layer", LAYERS)
def test_the_routers_layers_import_downwards_only(layer: str) -> None:
    """The core knows no network, the network no target list, and neither of them an instance."""
    for path in sources(f"router/{layer}"):
        for name in ours(path):
            assert within(name, f"router.{layer}", *LAYERS[layer], "skyfleet"), (path, name)


def test_the_router_imports_itself_and_what_is_shared() -> None:
    """Nothing of the agent, of the deployment or of the emulator."""
    for path in sources("router"):
        assert all(within(name, "router", "skyfleet") for name in ours(path)), path


def test_nothing_imports_infra_and_only_its_operators_side_the_routers_core() -> None:
    """The program knows the other packages as paths and environment keys; it derives keys as routers do."""
    for path in sources("infra"):
        operators = path.relative_to(ROOT).parts[1] in ("cli", "manager", "dashboard")
        for name in ours(path):
            derives = path == ROOT / "infra" / "keys.py" and within(name, "skyfleet.keys")
            allowed = within(name, "infra") or derives
            assert allowed or (operators and within(name, "router.core", "skyfleet")), (path, name)


def test_the_emulator_imports_nothing_else_of_ours() -> None:
    """It knows the program by Pulumi's protocol, and runs built packages in child processes."""
    for path in sources("emulator"):
        assert all(within(name, "emulator") for name in ours(path)), path


def test_no_other_package_imports_the_emulator() -> None:
    """The command line starts it as a process: `python -m emulator`."""
    for room in (*ROOMS, "bench"):
        for path in sources(room) if room != "emulator" else ():
            assert not any(within(name, "emulator") for name in ours(path)), path


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
