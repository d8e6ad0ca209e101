"""What the reference reads from source files: fields of the status, error codes, headers, variables."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final, cast

from router.net import fields

CODE: Final = re.compile(r"[a-z]+(-[a-z]+)*")
HEADER: Final = re.compile(
    r'b"(x-skyfleet-[a-z-]+|x-request-[a-z]+|idempotency-[a-z]+|retry-after|x-should-retry|server-timing|grpc-timeout'
    r'|endpoint-load-metrics)"'
)
# Python reads a mapping named `environ`; scripts write `$NAME` or `${NAME}`.
READ: Final = re.compile(
    r"(?:environ(?:\.get\(|\.pop\(|\[)[\"']|\$\{?)([A-Z][A-Z0-9_]*[A-Z0-9])(?![A-Za-z0-9_(])"
)
VARIABLE: Final = re.compile(
    r"(?:[\"']|\$\{?)(SKYFLEET_[A-Z0-9_]*[A-Z0-9]|(?:MODEL|AGENT)_[A-Z_]*[A-Z])(?=[\"'}: =])"
)


# Sets of fields in `router.net.fields`, in the order of the page. Each is listed without the named one.
GROUPS: Final[Mapping[str, str]] = {
    "_HOP_BY_HOP": "",
    "_SET_BY_ROUTER": "",
    "_SIGNATURE": "",
    "_OF_CLIENTS_URL": "",
    "_PLATFORM": "",
    "_BANNED_PREFIXES": "",
    "_OPTIONS": "",
    "_NOT_DOWNSTREAM": "_HOP_BY_HOP",
    "_NOT_TRAILING": "_NOT_DOWNSTREAM",
}


def field_groups() -> dict[str, list[str]]:
    """The header fields that routers leave out, by the name of their set. A prefix ends with three dots."""
    found: dict[str, list[str]] = {}
    for name, without in GROUPS.items():
        values = frozenset(_constant(name)) - frozenset(_constant(without) if without else ())
        dots = "..." if isinstance(_constant(name), tuple) else ""
        found[name.strip("_").lower().replace("_", "-")] = sorted(value.decode() + dots for value in values)
    return found


def _constant(name: str) -> frozenset[bytes] | tuple[bytes, ...]:
    return cast("frozenset[bytes] | tuple[bytes, ...]", vars(fields)[name])


def status_fields(path: Path) -> list[str]:
    """Every field that the module of the status writes, in order, as `targets[].cloud`."""
    tree = ast.parse(path.read_text("utf-8"))
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    return list(_fields(functions["status"], functions, ""))


def error_codes(folders: Iterable[Path]) -> dict[str, set[int]]:
    """Each code of an error reply with its statuses, from calls that have both.

    Such are `CallerError(404, "not-found")`, `reply(404, {"error": {"code": "not-found"}})` and
    `reply(404, error_json("not-found", message))`.
    """
    found: dict[str, set[int]] = {}
    for tree in _trees(folders):
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call):
                continue
            statuses = {status for argument in node.args for status in _numbers(argument)}
            codes = [code for argument in node.args for code in _codes(argument)]
            if len(node.args) > 1 and CODE.fullmatch(text := _text(node.args[1])):
                codes.append(text)
            for code in codes if statuses else ():
                found.setdefault(code, set()).update(statuses)
    return found


def refusal_codes(folders: Iterable[Path]) -> dict[str, set[int]]:
    """The same of `MalformedMessage(message, 431, "code")`, whose defaults are 400 and bad-request."""
    found = {"bad-request": {400}}
    for tree in _trees(folders):
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "MalformedMessage" and node.args[1:]:
                status, code = node.args[1], _text(node.args[2])
                found.setdefault(code, set()).update(_numbers(status))
    return found


def class_codes(folders: Iterable[Path]) -> dict[str, set[int]]:
    """The same of classes with `status` and `code`, each with the status that it inherits."""
    classes = {
        node.name: node
        for tree in _trees(folders)
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
    }
    found: dict[str, set[int]] = {}
    for node in classes.values():
        code = _text(_attribute(node, "code"))
        status = _inherited(node, "status", classes)
        if code and isinstance(status, ast.Constant) and isinstance(status.value, int):
            found.setdefault(code, set()).add(status.value)
    return found


def matches(pattern: re.Pattern[str], folders: Iterable[Path]) -> set[str]:
    """The first group of each match in Python files and shell scripts below the folders."""
    texts = [
        path.read_text("utf-8")
        for folder in folders
        for path in sorted(folder.rglob("*"))
        if path.suffix in (".py", ".sh")
    ]
    return {found for text in texts for found in pattern.findall(text)}


def _fields(node: ast.AST, functions: dict[str, ast.FunctionDef], prefix: str) -> Iterator[str]:
    """The fields of the dictionaries in what a function returns."""
    value = next(
        (one.value for one in ast.walk(node) if isinstance(one, ast.Return) and one.value is not None), None
    )
    if value is not None:
        yield from _members(value, functions, prefix)


def _members(value: ast.expr, functions: dict[str, ast.FunctionDef], prefix: str) -> Iterator[str]:
    if isinstance(value, ast.Dict):
        for key, member in zip(value.keys, value.values, strict=True):
            name = _text(key)
            if name:
                inner = list(_members(member, functions, f"{prefix}{name}."))
                yield from inner or [f"{prefix}{name}"]
            elif isinstance(member, ast.Call) and isinstance(member.func, ast.Name):
                yield from _fields(functions[member.func.id], functions, prefix)
    elif isinstance(value, ast.ListComp):
        yield from _members(value.elt, functions, f"{prefix[:-1]}[].")


def _trees(folders: Iterable[Path]) -> Iterator[ast.Module]:
    for folder in folders:
        for path in sorted(folder.rglob("*.py")):
            yield ast.parse(path.read_text("utf-8"))


def _text(node: ast.expr | None) -> str:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def _codes(node: ast.expr) -> Iterator[str]:
    """The codes of the error objects in an expression: written out, or made by `error_json`."""
    for inner in ast.walk(node):
        if isinstance(inner, ast.Dict):
            pairs = zip(inner.keys, inner.values, strict=True)
            yield from (code for key, value in pairs if _text(key) == "code" and (code := _text(value)))
        elif isinstance(inner, ast.Call) and ast.unparse(inner.func) == "error_json":
            yield from filter(None, [_text(one) for one in inner.args[:1]])


def _numbers(node: ast.expr) -> Iterator[int]:
    """The status codes that an expression may be."""
    if isinstance(node, ast.IfExp):
        yield from _numbers(node.body)
        yield from _numbers(node.orelse)
    elif isinstance(node, ast.Constant) and isinstance(node.value, int) and 400 <= node.value < 600:
        yield node.value


def _attribute(node: ast.ClassDef, name: str) -> ast.expr | None:
    """What a class assigns to a name."""
    for line in node.body:
        target = line.target if isinstance(line, ast.AnnAssign) else None
        if isinstance(line, ast.Assign) and len(line.targets) == 1:
            target = line.targets[0]
        if (
            isinstance(target, ast.Name)
            and target.id == name
            and isinstance(line, ast.Assign | ast.AnnAssign)
        ):
            return line.value
    return None


def _inherited(node: ast.ClassDef, name: str, classes: dict[str, ast.ClassDef]) -> ast.expr | None:
    """The same, or what the nearest base assigns."""
    if (found := _attribute(node, name)) is not None:
        return found
    for base in node.bases:
        if isinstance(base, ast.Name) and base.id in classes:
            return _inherited(classes[base.id], name, classes)
    return None
