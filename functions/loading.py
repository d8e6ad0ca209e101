"""Import the agent "module:attribute" (`skyfleet:agent` of the stack config) and determine its kind.

Rule: every problem is an AgentNotLoaded that names the module, the attribute and what was found. For a module
that fails to import it has file and line. A deploy prints this text.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import os
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from types import ModuleType
from typing import Any, Final, NoReturn, cast

from functions.api import is_repeatable, is_stateless, supported
from functions.errors import AgentNotLoaded
from functions.execution.threads import as_async_generator, as_coroutine

EXPECTED: Final = (
    "Expected `def agent(request)` or `async def agent(request)`, a generator of one request, "
    "or an ASGI application (`async def app(scope, receive, send)`)."
)


class Kind(Enum):
    """How an agent is called."""

    FUNCTION = "function"
    GENERATOR = "generator"
    ASGI = "asgi"


@dataclass(frozen=True, slots=True)
class LoadedAgent:
    """A valid agent. call: the user's object; for a synchronous one a wrapper that calls it in a thread."""

    reference: str
    kind: Kind
    call: Any = field(repr=False)
    repeatable: bool = False
    stateless: bool = False
    supports: frozenset[str] = frozenset()


def load(reference: str) -> LoadedAgent:
    """Import an agent. Raises AgentNotLoaded."""
    module_name, separator, attribute = reference.partition(":")
    if not separator or not module_name or not attribute:
        raise AgentNotLoaded(
            f"The agent is named {reference!r}. Expected 'module:attribute', e.g. 'functions.agent:agent'."
        )
    module = _import(reference, module_name)
    found: Any = module
    for name in attribute.split("."):
        if not hasattr(found, name):
            raise AgentNotLoaded(
                f"{reference}: {_where(module)} has no {attribute!r}; found {_callables(module)}. {EXPECTED}"
            )
        found = getattr(found, name)
    kind, call = _kind(reference, found)
    return LoadedAgent(reference, kind, call, is_repeatable(found), is_stateless(found), supported(found))


def _import(reference: str, module_name: str) -> ModuleType:
    try:
        return importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{module_name}.".startswith(f"{error.name}."):
            raise AgentNotLoaded(
                f"{reference}: there is no module {error.name!r} in the package. "
                "Check the name (skyfleet:agent), written as Python imports it, e.g. 'functions.agent:agent'."
            ) from error
        _broken(reference, error)
    except (Exception, SystemExit) as error:  # a user's module may raise any exception at import
        _broken(reference, error)


def _broken(reference: str, error: BaseException) -> NoReturn:
    """Tell the user's own line, and the line of a library that raised it."""
    if isinstance(error, SyntaxError):
        where, reason = f"{error.filename}:{error.lineno}", error.msg
    else:
        frames = [f for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith("<")]
        own = [frame for frame in frames if _is_own(frame.filename, reference)]
        told = (own or frames)[-1]
        raised = "" if told is frames[-1] else f" (raised at {frames[-1].filename}:{frames[-1].lineno})"
        where, reason = f"{told.filename}:{told.lineno}", f"{error}{raised}"
    raise AgentNotLoaded(f"{reference} does not import: {where}: {type(error).__name__}: {reason}") from error


def _is_own(file: str, reference: str) -> bool:
    """Whether a file is of the agent's top-level module, as Python finds it; this file is not."""
    from importlib.util import find_spec  # only after a failure

    spec = find_spec(reference.partition(":")[0].partition(".")[0])
    if spec is None or file == __file__:
        return False
    folders = spec.submodule_search_locations
    return any(file.startswith(f"{folder}{os.sep}") for folder in folders) if folders else file == spec.origin


def _kind(reference: str, found: object) -> tuple[Kind, Callable[..., Any]]:
    """The kind of an agent, and what to call."""
    if not callable(found) or inspect.isclass(found):
        what = (
            "a class; name an instance of it" if inspect.isclass(found) else f"of type {type(found).__name__}"
        )
        raise AgentNotLoaded(f"{reference} is {what}. {EXPECTED}")
    call = cast("Callable[..., Any]", found)
    is_function = inspect.isroutine(call) or isinstance(found, functools.partial)
    body: Callable[..., Any] = call if is_function else call.__call__
    count = _required_parameters(reference, body)
    if count == 3:
        return Kind.ASGI, call
    if count != 1:
        named = "coroutine function" if inspect.iscoroutinefunction(body) else "callable"
        raise AgentNotLoaded(f"{reference} is a {named} of {count} parameters. {EXPECTED}")
    if inspect.isasyncgenfunction(body):
        return Kind.GENERATOR, call
    if inspect.iscoroutinefunction(body):
        return Kind.FUNCTION, call
    if inspect.isgeneratorfunction(body):
        return Kind.GENERATOR, as_async_generator(call)
    return Kind.FUNCTION, as_coroutine(call)


def _required_parameters(reference: str, body: Callable[..., object]) -> int:
    """How many a call needs. body: the agent, or the `__call__` of an object, which may be its own."""
    try:
        parameters = inspect.signature(body).parameters.values()
    except ValueError:
        raise AgentNotLoaded(f"{reference} is a callable without a readable signature. {EXPECTED}") from None
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return sum(1 for p in parameters if p.kind in positional and p.default is p.empty)


def _where(module: ModuleType) -> str:
    return module.__file__ or module.__name__


def _callables(module: ModuleType) -> str:
    own = [
        name
        for name, value in vars(module).items()
        if not name.startswith("_")
        and callable(value)
        and getattr(value, "__module__", "") == module.__name__
    ]
    return ", ".join(sorted(own)) or "nothing that can be called"
