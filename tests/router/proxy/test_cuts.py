"""What a router's log says of a reply that broke off after it was passed on."""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import Mapping

import httpx
import pytest

from router import app
from router.config import RouterSettings
from router.net import server
from tests.router.proxy.support import CHUNKED, chunk, sends
from tests.router.support import router, settings, upstream


@pytest.mark.parametrize("length", [b"", b"content-length: 65537\r\n"])
def test_a_cut_reply_is_one_line_with_its_target_and_request(
    length: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """No traceback, nothing of the server's own; and the caller sees it cut."""
    server.quieten_uvicorn()
    head = b"HTTP/1.1 200 OK\r\n" + length + b"\r\n" if length else CHUNKED % b"text/plain"
    body = b"half" if length else chunk(b"half")

    async def run() -> None:
        async with (
            upstream(sends(head, body, reset=True)) as up,
            router([up.url], repeatable=False) as front,
        ):
            with pytest.raises(httpx.RemoteProtocolError):
                await front.client.post("/invoke", headers={"x-request-id": "id-7"})

    with caplog.at_level(logging.WARNING):
        asyncio.run(run())
    (record,) = caplog.records
    said = record.getMessage()
    assert record.levelno == logging.WARNING
    assert record.exc_info is None
    assert said.startswith("id-7 The reply of aws/r0 broke off: ")
    assert "\n" not in said


def test_only_what_was_told_already_is_left_out_of_the_servers_log() -> None:
    """Any other reply without an end is a mistake of ours that the log must show."""
    server.quieten_uvicorn()
    uvicorn, words = logging.getLogger("uvicorn.error"), "ASGI callable returned without completing response."
    record = uvicorn.makeRecord(uvicorn.name, logging.ERROR, __file__, 1, words, (), None)
    assert uvicorn.filter(record)

    def told() -> None:
        server.log_truncated("id-7 It broke off.")
        assert not uvicorn.filter(record)
        other = uvicorn.makeRecord(uvicorn.name, logging.ERROR, __file__, 1, "Another mistake.", (), None)
        assert uvicorn.filter(other)

    contextvars.copy_context().run(told)
    assert uvicorn.filter(record)


def test_every_router_that_starts_quietens_its_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before its first request."""
    called: list[bool] = []
    known = settings(["http://127.0.0.1:9"])
    monkeypatch.setattr(server, "quieten_uvicorn", lambda: called.append(True))

    def read(environ: Mapping[str, str], build: str) -> RouterSettings:
        return known

    monkeypatch.setattr(app, "router_settings", read)
    app.create({})
    assert called
