"""Load the ASGI application that SKYFLEET_APP ("module:factory") names.

The factory takes the function's environment with its secrets and returns the application. Secrets are
removed from the process environment as early as possible, on every cloud alike:
- signing keys before a module of the application is imported, so neither an agent nor its subprocesses find
  them there;
- other secrets (of an agent, such as MODEL_API_KEY) after the import.

Variables that the platform set before the start stay readable in /proc/self/environ; docs/security.md
discusses that.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping, MutableMapping
from typing import Final, cast

from functions.runtimes.errors import AppNotLoaded, CannotStart
from skyfleet import contract
from skyfleet.asgi import ASGIApp

KEYS: Final = (contract.ROOT_KEYS, contract.SIGNING_KEYS)
OTHERS: Final = (contract.MODEL_API_KEY,)

Factory = Callable[[Mapping[str, str]], ASGIApp]


def load_app(environ: MutableMapping[str, str], fetched: Mapping[str, str] | None = None) -> ASGIApp:
    """Import the factory and call it. environ: of the process. fetched: secrets that are not in it yet.

    Raises CannotStart after one line on stderr with its message. It has neither cause nor frames, which a
    platform would print too.
    """
    whole = {**environ, **(fetched or {})}
    for name in KEYS:
        environ.pop(name, None)
    environ.update({name: whole[name] for name in OTHERS if name in whole})
    try:
        return _factory(environ.get(contract.APP, ""))(whole)
    except CannotStart as error:
        print(f"{contract.CANNOT_START}{error}", file=sys.stderr, flush=True)  # noqa: T201
        raise error.with_traceback(None) from None
    finally:
        for name in OTHERS:
            environ.pop(name, None)


def load_or_exit(environ: MutableMapping[str, str], fetched: Mapping[str, str] | None = None) -> ASGIApp:
    """As load_app; if the function cannot start, the process ends with that line alone."""
    try:
        return load_app(environ, fetched)
    except CannotStart:
        sys.exit(1)


def _factory(reference: str) -> Factory:
    module_name, _, name = reference.partition(":")
    if not module_name or not name:
        raise AppNotLoaded(
            f"{contract.APP} is {reference!r}; expected 'module:factory', e.g. 'functions.app:create'."
        )
    module = importlib.import_module(module_name)
    factory: object = getattr(module, name, None)
    if not callable(factory):
        found = ", ".join(sorted(n for n, v in vars(module).items() if callable(v) and not n.startswith("_")))
        raise AppNotLoaded(
            f"{contract.APP} is {reference!r}, but {module_name} has no function {name!r}; found {found}."
        )
    return cast("Factory", factory)
