"""Tests of the loader of the application, which removes secrets from the environment."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import traceback
from collections.abc import Mapping, MutableMapping
from pathlib import Path

import pytest

from functions.errors import AgentNotLoaded
from functions.runtimes.app_loader import KEYS, OTHERS, ASGIApp, load_app, load_or_exit
from functions.runtimes.errors import AppNotLoaded, CannotStart
from tests.asgi import Message, Receive, Send
from tests.functions.support import KEYS_JSON

CHECKOUT = Path(__file__).resolve().parents[3]


SECRETS = {
    "SKYFLEET_ROOT_KEYS": "a root",
    "SKYFLEET_SIGNING_KEYS": "a derived key",
    "MODEL_API_KEY": "a model's key",
}


# By factory: its argument, and the names in the process's environment during its call.
SEEN: dict[str, tuple[Mapping[str, str], set[str]]] = {}


PROCESS: MutableMapping[str, str] = {}


def factory(environ: Mapping[str, str]) -> ASGIApp:
    SEEN["factory"] = environ, set(PROCESS)

    async def app(scope: Message, receive: Receive, send: Send) -> None: ...

    return app


def failing(environ: Mapping[str, str]) -> ASGIApp:
    raise RuntimeError("no")


@pytest.fixture(autouse=True)
def process() -> MutableMapping[str, str]:
    """A stand-in of os.environ."""
    PROCESS.clear()
    PROCESS.update({"SKYFLEET_APP": f"{__name__}:factory", "OTHER": "x"})
    return PROCESS


@pytest.mark.parametrize("fetched", [False, True], ids=["given by the platform", "fetched at the start"])
def test_secrets_are_removed_from_the_environment(process: MutableMapping[str, str], fetched: bool) -> None:
    """The factory gets all secrets. Keys are removed before its import, the others after its call."""
    if not fetched:
        process.update(SECRETS)
    load_app(process, SECRETS if fetched else None)
    given, there = SEEN["factory"]
    assert given.items() >= SECRETS.items()
    assert given["OTHER"] == "x"
    assert there == {"SKYFLEET_APP", "OTHER", "MODEL_API_KEY"}
    assert set(process) == {"SKYFLEET_APP", "OTHER"}


@pytest.mark.parametrize(
    "reference", [f"{__name__}:failing", f"{__name__}:no_such", "no.such.module:app", "x"]
)
def test_secrets_are_removed_also_if_the_application_does_not_load(
    process: MutableMapping[str, str], reference: str
) -> None:
    """Some platforms keep a process after a failed start."""
    process.update(SECRETS | {"SKYFLEET_APP": reference})
    with pytest.raises((RuntimeError, AppNotLoaded, ImportError)):
        load_app(process)
    assert not set(SECRETS) & set(process)


def test_the_process_of_a_started_function_has_no_secrets() -> None:
    """This is checked in a real process and its subprocesses. /proc/self/environ still has them, as
    docs/security.md describes."""
    code = (
        "import json, os, subprocess, sys\n"
        "from functions.runtimes.app_loader import load_app\n"
        "load_app(os.environ)\n"
        "inner = 'import json, os; print(json.dumps(dict(os.environ)))'\n"
        "child = json.loads(subprocess.check_output([sys.executable, '-c', inner]))\n"
        "start = open('/proc/self/environ').read()\n"
        "print(json.dumps([sorted(os.environ), sorted(child), 'MODEL_API_KEY' in start]))\n"
    )
    environ = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(CHECKOUT),
        "SKYFLEET_APP": "functions.app:create",
        "SKYFLEET_SIGNING_KEYS": KEYS_JSON,
        "MODEL_API_KEY": "a model's key",
    }
    done = subprocess.run(
        [sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True
    )
    own, child, kept = json.loads(done.stdout)
    assert not {*KEYS, *OTHERS} & {*own, *child}
    assert kept


@pytest.mark.parametrize(
    ("reference", "words"),
    [("", "expected 'module:factory'"), ("functions.app:make", "no function 'make'; found .*create")],
)
def test_a_missing_application_is_named(reference: str, words: str) -> None:
    """The error describes a valid SKYFLEET_APP."""
    with pytest.raises(AppNotLoaded, match=words):
        load_app({"SKYFLEET_APP": reference})


def cannot_start(environ: Mapping[str, str]) -> ASGIApp:
    try:
        raise KeyError("deep inside")
    except KeyError as error:
        raise AgentNotLoaded("mine:agent does not import: mine.py:3: KeyError: 'x'") from error


def test_what_cannot_start_is_told_without_frames_of_ours(process: MutableMapping[str, str]) -> None:
    """A platform prints a traceback with its causes: the message has the agent's own line already."""
    process["SKYFLEET_APP"] = f"{__name__}:cannot_start"
    with pytest.raises(CannotStart, match=r"mine\.py:3") as caught:
        load_app(process)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
    frames = traceback.extract_tb(caught.value.__traceback__)
    assert not [frame for frame in frames if frame.name == "cannot_start"]


def test_a_process_of_its_own_ends_with_one_line(
    process: MutableMapping[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    """On AWS and Google, where a failed start ends the process."""
    process["SKYFLEET_APP"] = f"{__name__}:cannot_start"
    with pytest.raises(SystemExit) as caught:
        load_or_exit(process)
    assert caught.value.code == 1
    assert capsys.readouterr().err == (
        "the function does not start: mine:agent does not import: mine.py:3: KeyError: 'x'\n"
    )
