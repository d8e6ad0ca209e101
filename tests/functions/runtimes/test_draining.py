"""Tests of SIGTERM, on the production server of AWS in a process of its own."""

from __future__ import annotations

import asyncio
import http.client
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import uvicorn

from functions.runtimes import draining
from functions.runtimes.uvicorn_server import GracefulServer
from skyfleet.asgi import Receive, Scope, Send
from tests.functions.support import port_of_a_process, until

CHECKOUT = Path(__file__).resolve().parents[3]


@dataclass
class Instance:
    """A running function. gate: the file that ends its streams. log: its errors. opened: connections."""

    process: subprocess.Popen[bytes]
    port: int
    gate: Path
    log: Path
    opened: list[http.client.HTTPConnection] = field(default_factory=list[http.client.HTTPConnection])

    def connect(self) -> http.client.HTTPConnection:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        self.opened.append(connection)
        connection.connect()
        return connection

    def answers(self) -> bool:
        try:
            return self.get(self.connect(), "/health").read() == b"{}"
        except OSError:
            return False

    def get(self, connection: http.client.HTTPConnection, path: str) -> http.client.HTTPResponse:
        connection.request("GET", path)
        return connection.getresponse()


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[Instance]:
    """A function with `draining_app`, as Lambda starts it."""
    log, gate = tmp_path / "log", tmp_path / "gate"
    app = {"SKYFLEET_APP": "tests.functions.runtimes.draining_app:create"}
    with (
        port_of_a_process() as port,
        log.open("wb") as out,
        subprocess.Popen(
            [sys.executable, "-P", "-m", "functions.runtimes.aws"],
            env={
                "PATH": os.environ["PATH"],
                "PORT": str(port),
                "GATE": str(gate),
                "PYTHONPATH": str(CHECKOUT),
                **app,
            },
            cwd=tmp_path,
            stderr=out,
        ) as process,
    ):
        one = Instance(process, port, gate, log)
        try:
            until(one.answers, "the function")
            yield one
        finally:
            process.kill()
            for connection in one.opened:
                connection.close()


def test_sigterm_finishes_what_runs_and_refuses_what_is_new(instance: Instance) -> None:
    """/health is unready first; a request on a kept connection is answered and not cut; then the end."""
    held = instance.connect()
    reply = instance.get(held, "/stream")
    assert reply.read(6) == b"begun "
    kept = [instance.connect() for _ in range(2)]
    for connection in kept:
        assert instance.get(connection, "/health").read() == b"{}"
    # The requests are there when it gets the signal, however busy this machine is.
    instance.process.send_signal(signal.SIGSTOP)
    instance.process.send_signal(signal.SIGTERM)
    for connection, path in zip(kept, ("/health", "/other"), strict=True):
        connection.request("GET", path)
    instance.process.send_signal(signal.SIGCONT)
    for connection in kept:
        refused = connection.getresponse()
        assert (refused.status, refused.getheader("connection")) == (503, "close")
    until(lambda: not instance.answers(), "the end of the listener")
    instance.gate.touch()
    assert reply.read() == b"ended"
    assert instance.process.wait(20) == 0
    assert instance.log.read_text() == "shut down\n"


async def test_what_outlives_the_hosts_time_is_told_to_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the server cancels it."""
    told: list[str] = []

    class App:
        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            """It gets no request here."""

        def drain(self) -> None:
            told.append("drain")

        def expire(self) -> None:
            told.append("expire")

    monkeypatch.setattr(draining, "EXPIRE_S", 0.01)
    server = GracefulServer(uvicorn.Config(App(), lifespan="off", log_level="critical", port=0))
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    server.should_exit = True
    await serving
    assert told == ["drain", "expire"]


async def test_an_application_that_does_not_drain_ends_as_well() -> None:
    """A checker has nothing to finish."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        """It gets no request here."""

    server = GracefulServer(uvicorn.Config(app, lifespan="off", log_level="critical", port=0))
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    server.should_exit = True
    await serving
