"""Each page of docs/reference: its head, and what the code says."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tools.reference import commands, config, manager, openapi, sources
from tools.reference.text import code, described, section, table

NOTE: Final = "<!-- Made by `make docs-reference` from the code and tools/reference/text.toml. -->"


def pages(root: Path) -> Mapping[str, str]:
    """Text of each page by its path from the root.

    Raises IncompleteText when text.toml does not fit the code.
    """
    bodies = {
        "config": config.page(),
        "status": _status(root),
        "http": _http(root),
        "environment": _environment(root),
        "cli": commands.page(),
        "manager": manager.page(),
    }
    heads = section("pages")
    made = {f"docs/reference/{name}.md": f"{NOTE}\n{heads[name]}\n{body}\n" for name, body in bodies.items()}
    return made | {openapi.PATH: openapi.text(root), manager.PATH: manager.text()}


def _status(root: Path) -> str:
    sentences = described("status", sources.status_fields(root / "router/status.py"))
    return table(["field", "meaning"], ([code(key), text] for key, text in sentences.items()))


def _http(root: Path) -> str:
    router, agent = root / "router", root / "functions"
    headers = described("headers", sources.matches(sources.HEADER, (router, agent, root / "skyfleet")))
    in_router = sources.error_codes([router])
    in_agent = {**sources.class_codes([agent]), "unauthorized": {401}}
    parts = ["## Header fields", "", *_rows("field", headers), "", *_changes(), ""]
    in_server = sources.refusal_codes([agent, root / "skyfleet"])
    for title, name, found in (
        ("Refused by the server of routers and agents on AWS and Google", "server errors", in_server),
        ("Errors of a router", "router errors", in_router),
        ("Errors of an agent", "agent errors", in_agent),
    ):
        sentences = described(name, found)
        rows = sorted(
            ([", ".join(map(str, sorted(found[key]))), code(key), text] for key, text in sentences.items())
        )
        parts += [f"## {title}", "", table(["status", "code", "meaning"], rows), ""]
    return "\n".join(parts).rstrip()


def _changes() -> list[str]:
    """What a router leaves out of requests and replies, as `router.net.fields` has it."""
    groups = sources.field_groups()
    sentences = described("left out", groups)
    rows = [[sentences[key], ", ".join(map(code, names))] for key, names in groups.items()]
    texts = section("changes")
    return [
        "## What a router changes",
        "",
        texts["intro"].strip(),
        "",
        table(["left out", "fields"], rows),
        "",
        texts["rest"].strip(),
    ]


def _environment(root: Path) -> str:
    parts: list[str] = []
    functions = [root / name for name in ("functions", "router", "skyfleet")]
    of_functions = sources.matches(sources.VARIABLE, [*functions, root / "infra/clouds"])
    of_functions |= sources.matches(sources.READ, functions)
    of_functions |= {
        name for name in sources.matches(sources.VARIABLE, [root / "infra"]) if name in section("functions")
    }
    all_names = sources.matches(sources.VARIABLE, [*functions, root / "infra", root / "emulator"])
    for title, name, found in (
        ("Of deployed functions", "functions", of_functions),
        ("Of this checkout", "checkout", all_names - of_functions),
    ):
        parts += [f"## {title}", "", *_rows("variable", described(name, found)), ""]
    return "\n".join(parts).rstrip()


def _rows(head: str, sentences: Mapping[str, str]) -> list[str]:
    return [table([head, "meaning"], ([code(key), text] for key, text in sentences.items()))]
