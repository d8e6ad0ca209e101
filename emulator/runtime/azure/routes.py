"""Routing in an Azure app: route templates of its HTTP triggers, and its timers. Pure.

Bindings are what the worker library reports. Templates are ASP.NET's, as far as functions use them: literals,
`{name}`, `{name?}`, `{name:int}` and a last `{*rest}`. A literal precedes a parameter, which precedes the
rest.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import unquote

from emulator.runtime.types import Timer

PARAMETER = re.compile(r"\{(?P<rest>\*{0,2})(?P<name>\w+)(?::(?P<kind>\w+))?(?P<optional>\?)?\}")
KINDS = {
    "int": r"-?\d+",
    "long": r"-?\d+",
    "guid": r"[0-9a-fA-F-]{36}",
    "alpha": r"[A-Za-z]+",
    "bool": "true|false",
}


@dataclass(frozen=True, slots=True)
class Route:
    """One HTTP trigger. rank: compared in order, lower is more specific; level: authorization level."""

    function: str
    input: str
    pattern: re.Pattern[str]
    rank: tuple[int, ...]
    methods: frozenset[str]
    level: str


@dataclass(frozen=True, slots=True)
class TimerTrigger:
    """One timer trigger."""

    function: str
    input: str
    timer: Timer


@dataclass(frozen=True, slots=True)
class App:
    """The routes and timers of a function app."""

    routes: tuple[Route, ...]
    timers: tuple[TimerTrigger, ...]

    def find(self, method: str, target: str) -> tuple[Route, dict[str, str]] | None:
        """The route for a request and its parameters, or None."""
        path = unquote(target.partition("?")[0]).strip("/")
        for route in self.routes:
            found = route.pattern.fullmatch(path)
            if found is not None and (not route.methods or method in route.methods):
                return route, {name: value for name, value in found.groupdict().items() if value is not None}
        return None


def read(functions: Sequence[Mapping[str, Any]], prefix: str) -> App:
    """The app that the worker reported; `prefix` is host.json's routePrefix."""
    routes: list[Route] = []
    timers: list[TimerTrigger] = []
    for function in functions:
        name, function_id = str(function["name"]), str(function["id"])
        for binding in cast("list[dict[str, Any]]", function["bindings"]):
            kind = str(binding.get("type", "")).lower()
            if kind == "httptrigger":
                routes.append(_route(binding, name, function_id, prefix))
            elif kind == "timertrigger":
                timer = Timer(name, str(binding["schedule"]))
                timers.append(TimerTrigger(function_id, str(binding["name"]), timer))
    return App(tuple(sorted(routes, key=lambda route: route.rank)), tuple(timers))


def _route(binding: Mapping[str, Any], name: str, function_id: str, prefix: str) -> Route:
    template = str(binding.get("route") or name)
    segments = [part for part in f"{prefix}/{template}".split("/") if part]
    pattern, rank = "", list[int]()
    for number, segment in enumerate(segments):
        slash = "/" if number else ""
        found = PARAMETER.fullmatch(segment)
        if found is None:
            pattern += slash + re.escape(segment)
            rank.append(0)
            continue
        value = ".*" if found["rest"] else KINDS.get(found["kind"] or "", "[^/]+")
        group = f"{slash}(?P<{found['name']}>{value})"
        pattern += f"(?:{group})?" if found["optional"] or found["rest"] else group
        rank.append(2 if found["rest"] else 1)
    methods = frozenset(str(method).upper() for method in binding.get("methods") or ())
    level = str(binding.get("authLevel") or "function").lower()
    return Route(
        function_id,
        str(binding["name"]),
        re.compile(pattern, re.IGNORECASE | re.DOTALL),  # a catch-all parameter takes line feeds too
        tuple(rank),
        methods,
        level,
    )
