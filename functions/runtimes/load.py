"""From SKYFLEET_APP ("module:factory") to the ASGI application that every runtime serves.

The factory gets the function's environment and answers with the application.
"""

from __future__ import annotations

import importlib
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Final, cast

from functions.runtimes.errors import AppNotLoaded

APP: Final = "SKYFLEET_APP"

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Message, Receive, Send], Awaitable[None]]
Factory = Callable[[Mapping[str, str]], ASGIApp]


def load_app(environ: Mapping[str, str]) -> ASGIApp:
    """Import the factory and call it."""
    reference = environ.get(APP, "")
    module_name, _, name = reference.partition(":")
    if not module_name or not name:
        raise AppNotLoaded(f"{APP} is {reference!r}; expected 'module:factory', e.g. 'functions.app:create'.")
    module = importlib.import_module(module_name)
    factory: object = getattr(module, name, None)
    if not callable(factory):
        found = ", ".join(sorted(n for n, v in vars(module).items() if callable(v) and not n.startswith("_")))
        raise AppNotLoaded(
            f"{APP} is {reference!r}, but {module_name} has no function {name!r}; found {found}."
        )
    return cast("Factory", factory)(environ)
