"""The server as a process: it begins after the startup, and SIGTERM loses no request that runs."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Generator
from pathlib import Path

import httpx
import pytest

from functions.runtimes.server.runner import State
from tests.functions.support import port_of_a_process, until
from tests.trust import NO_CERTIFICATES

CHECKOUT = Path(__file__).resolve().parents[4]

PROGRAM = """
import asyncio, sys
from functions.runtimes import draining
from functions.runtimes.server.runner import run

def say(text):
    print(text, flush=True)

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        if sys.argv[2] == "none":
            raise KeyError("type")
        while True:
            kind = (await receive())["type"]
            say(kind)
            await send({"type": kind + ".complete"})
            if kind == "lifespan.shutdown":
                return
    say("request")
    if scope["path"] == "/slow":
        await asyncio.sleep(0.5)
    if scope["path"] == "/hang":
        draining.REQUESTS_S = 0.3
        await asyncio.sleep(600)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"ok"})

say("loaded")
draining.REQUESTS_S = 20
run(app, int(sys.argv[1]), keep_alive_s=60)
say("ended")
"""


class Process:
    """A server, and what it said."""

    def __init__(self, mode: str, output: Path, port: int) -> None:
        self.port = port
        self._output = output
        with output.open("w") as file:
            self.popen = subprocess.Popen(
                [sys.executable, "-c", PROGRAM, str(self.port), mode],
                cwd=CHECKOUT,
                env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
                stdout=file,
            )

    @property
    def said(self) -> list[str]:
        return self._output.read_text().split()

    def get(self, path: str) -> httpx.Response:
        return httpx.get(
            f"http://127.0.0.1:{self.port}{path}", trust_env=False, verify=NO_CERTIFICATES, timeout=20
        )

    def answers(self) -> bool:
        try:
            return self.get("/").status_code == 200
        except httpx.TransportError:
            return False

    def end(self) -> int:
        self.popen.send_signal(signal.SIGTERM)
        return self.popen.wait(20)


@pytest.fixture
def process(request: pytest.FixtureRequest, tmp_path: Path) -> Generator[Process]:
    """A server that answers; nothing of it is left."""
    with port_of_a_process() as port:
        one = Process(getattr(request, "param", "lifespan"), tmp_path / "output", port)
        try:
            until(one.answers, "the server")
            yield one
        finally:
            one.popen.kill()
            one.popen.wait()


def test_the_lifespan_surrounds_all_requests(process: Process) -> None:
    """Startup before the port opens, shutdown after the last response, and the exit code of success."""
    assert process.end() == 0
    assert process.said == ["loaded", "lifespan.startup", "request", "lifespan.shutdown", "ended"]


@pytest.mark.parametrize("process", ["none"], indirect=True)
def test_an_application_without_lifespan_is_served(process: Process) -> None:
    """It raises an error at the event, as the protocol wants it."""
    assert process.end() == 0
    assert process.said == ["loaded", "request", "ended"]


def test_what_runs_is_answered_and_new_connections_are_refused(process: Process) -> None:
    """The answer closes the connection."""
    with httpx.Client(
        base_url=f"http://127.0.0.1:{process.port}", trust_env=False, verify=NO_CERTIFICATES, timeout=20
    ) as client:
        before = len(process.said)
        answers: list[httpx.Response] = []
        thread = threading.Thread(target=lambda: answers.append(client.get("/slow")))
        thread.start()
        until(lambda: len(process.said) > before, "the request")
        assert process.end() == 0
        thread.join(20)
    assert (answers[0].text, answers[0].headers["connection"]) == ("ok", "close")
    with pytest.raises(httpx.ConnectError):
        process.get("/")


def test_a_request_that_does_not_end_is_left_after_the_grace(process: Process) -> None:
    """The process ends all the same, and the application is told."""
    with httpx.Client(trust_env=False, verify=NO_CERTIFICATES, timeout=20) as client:

        def ask() -> None:
            with contextlib.suppress(httpx.TransportError):
                client.get(f"http://127.0.0.1:{process.port}/hang")

        thread = threading.Thread(target=ask)
        thread.start()
        until(lambda: process.said.count("request") == 2, "the request")
        assert process.end() == 0
        thread.join(20)
    assert process.said[-2:] == ["lifespan.shutdown", "ended"]


def test_the_date_is_that_of_the_second() -> None:
    """In the form of RFC 9110, section 5.6.7."""
    now = [784_111_777.9]
    state = State(lambda: now[0])
    first = state.default_headers
    assert first == [(b"date", b"Sun, 06 Nov 1994 08:49:37 GMT")]
    assert state.default_headers is first
    now[0] += 0.2
    assert state.default_headers == [(b"date", b"Sun, 06 Nov 1994 08:49:38 GMT")]
