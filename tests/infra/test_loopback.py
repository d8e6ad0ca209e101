"""Tests of URLs of this machine and of the form that every client can call."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from infra import rollout
from infra.loopback import is_loopback, plain, plain_all


@pytest.mark.pure
@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("http://x.lambda-url.eu-west-1.on.aws.localhost:9/", "http://127.0.0.1:9/"),
        ("http://x.run.app.localhost:9/a?b=1#c", "http://127.0.0.1:9/a?b=1#c"),
        ("http://localhost:9", "http://127.0.0.1:9"),
        ("http://LOCALHOST.", "http://127.0.0.1"),
        ("https://localhost.example.net/", "https://localhost.example.net/"),
        ("https://x.run.app", "https://x.run.app"),
        ("http://x.localhost:port", "http://x.localhost:port"),
        ("localhost of no URL", "localhost of no URL"),
    ],
)
def test_a_name_below_localhost_becomes_an_address(given: str, shown: str) -> None:
    """RFC 6761: only names below `localhost` are changed, and any other text is returned unchanged."""
    assert plain(given) == shown


@pytest.mark.pure
def test_all_urls_of_a_document_are_changed() -> None:
    """Nested values are changed too."""
    document = {"urls": ["http://a.localhost:1"], "n": 1, "more": {"none": None, "url": "http://b.localhost"}}
    shown = {"urls": ["http://127.0.0.1:1"], "n": 1, "more": {"none": None, "url": "http://127.0.0.1"}}
    assert plain_all(document) == shown


@pytest.mark.pure
def test_loopback_is_an_address_or_a_name_below_localhost() -> None:
    """Other names and addresses do not count."""
    assert all(
        map(is_loopback, ("http://127.0.0.2", "http://[::1]:1", "http://a.b.localhost", "http://localhost"))
    )
    assert not any(map(is_loopback, ("http://10.0.0.1", "http://a.b.localhost.net", "no URL")))


class Echo(BaseHTTPRequestHandler):
    """Answers with the Host of the request."""

    def do_GET(self) -> None:
        """Answer one request."""
        body = self.headers["host"].encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing."""


@pytest.fixture
def port() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


async def test_a_deploys_check_calls_a_name_below_localhost_without_a_resolver(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The Host is the original name, and no proxy is used."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    url = f"http://x.run.app.localhost:{port}/health"
    assert await rollout.get(url) == f"x.run.app.localhost:{port}"
