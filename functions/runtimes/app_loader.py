"""From SKYFLEET_APP ("module:factory") to the ASGI application that every runtime serves.

The factory gets the function's environment with its secrets and answers with the application. Secrets are in
the process's own environment no longer than needed, on every cloud alike:
- the keys that requests are signed with are gone before a module of the application is imported, so an agent
  and its subprocesses never see them there;
- the others (an agent's own, like MODEL_API_KEY) are there while it is imported, then they are gone too.

What a platform put into the environment before the start stays readable in /proc/self/environ, which the
kernel keeps as it was; docs/security.md says why that is bearable.
"""

from __future__ import annotations

import importlib
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Final, cast

from functions.runtimes.errors import AppNotLoaded

APP: Final = "SKYFLEET_APP"
KEYS: Final = ("SKYFLEET_ROOT_KEYS", "SKYFLEET_SIGNING_KEYS")
OTHERS: Final = ("MODEL_API_KEY",)

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Message, Receive, Send], Awaitable[None]]
Factory = Callable[[Mapping[str, str]], ASGIApp]


def load_app(environ: MutableMapping[str, str], fetched: Mapping[str, str] | None = None) -> ASGIApp:
    """Import the factory and call it. environ: the process's own. fetched: secrets that are not in it yet."""
    whole = {**environ, **(fetched or {})}
    for name in KEYS:
        environ.pop(name, None)
    environ.update({name: whole[name] for name in OTHERS if name in whole})
    try:
        return _factory(environ.get(APP, ""))(whole)
    finally:
        for name in OTHERS:
            environ.pop(name, None)


def _factory(reference: str) -> Factory:
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
    return cast("Factory", factory)
