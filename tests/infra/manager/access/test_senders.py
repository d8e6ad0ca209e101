"""Host, Origin and Fetch Metadata: pages of other sites cannot use a manager on this machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.manager.access.origins import host_name, refuse_host, refuse_origin
from tests.infra.manager.fakes import Setup

CREATE = {"cloud": "aws", "region": "us-east-1"}


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8700",
        "127.0.0.1.nip.io",
        "localhost.evil.example",
        "169.254.169.254",
        "0.0.0.0:8700",
        "user@127.0.0.1",
        "127.0.0.1:x",
        "127.0.0.1/",
        "[::1",
        "",
    ],
)
async def test_a_hostile_host_is_refused(host: str, tmp_path: Path) -> None:
    """DNS rebinding: 403 for reads and writes, on open paths too, and nothing happens."""
    setup = Setup(tmp_path)
    async with setup.client(host=host) as client:
        replies = [
            await client.get("/api/status"),
            await client.get("/"),
            await client.get("/health"),
            await client.post("/api/create-resource", json=CREATE),
        ]
    assert [one.status_code for one in replies] == [403] * 4
    assert "--allow-host" in replies[0].json()["detail"]
    assert not setup.jobs.known


@pytest.mark.parametrize(
    "host", ["127.0.0.1:8700", "localhost:8700", "LOCALHOST", "[::1]:8700", "localhost.:1", "fleet.example"]
)
async def test_hosts_of_this_machine_and_named_ones_are_served(host: str, tmp_path: Path) -> None:
    """With any port: a tunnel has its own."""
    async with Setup(tmp_path, hosts=("fleet.example",)).client(host=host) as client:
        assert (await client.get("/health")).status_code == 200


def test_no_host_and_two_hosts_are_refused() -> None:
    """A request has one (RFC 9112, section 3.2)."""
    assert refuse_host([], ()) is not None
    assert refuse_host(["localhost", "localhost"], ()) is not None
    assert refuse_host(["localhost"], ()) is None
    assert host_name("LocalHost:80") == "localhost"


FOREIGN = {
    "another site": {"sec-fetch-site": "cross-site", "origin": "https://evil.example"},
    "another port of this machine": {"sec-fetch-site": "same-site", "origin": "http://127.0.0.1:9000"},
    "a value that no browser sends": {"sec-fetch-site": "own-site"},
    "an older browser, another site": {"origin": "https://evil.example"},
    "an older browser, another port": {"origin": "http://127.0.0.1:9000"},
    "an older browser, another name of this machine": {"origin": "http://localhost:8700"},
    "a sandboxed frame": {"origin": "null"},
    "a file": {"origin": "file://"},
}


@pytest.mark.parametrize("case", FOREIGN)
async def test_a_page_of_another_origin_changes_and_reads_nothing(case: str, tmp_path: Path) -> None:
    """CSRF: 403, whatever the method."""
    setup = Setup(tmp_path)
    async with setup.client(**FOREIGN[case]) as client:
        replies = [
            await client.post("/api/create-resource", json=CREATE),
            await client.request("DELETE", "/api/delete-resource", json=CREATE),
            await client.get("/api/status"),
            await client.post("/login", data={"token": "x"}),
        ]
    assert [one.status_code for one in replies] == [403] * 4
    assert not setup.jobs.known


OWN = {
    "the page itself": {"sec-fetch-site": "same-origin", "origin": "http://127.0.0.1:8700"},
    "an address that was typed": {"sec-fetch-site": "none"},
    "an older browser": {"origin": "http://127.0.0.1:8700"},
    "a proxy with TLS": {"origin": "https://127.0.0.1:8700"},
    "curl": {},
}


@pytest.mark.parametrize("case", OWN)
async def test_the_managers_own_page_and_programs_may(case: str, tmp_path: Path) -> None:
    """202."""
    async with Setup(tmp_path).client(**OWN[case]) as client:
        assert (await client.post("/api/create-resource", json=CREATE)).status_code == 202


@pytest.mark.parametrize(
    ("mode", "destination", "method", "path", "is_refused"),
    [
        ("navigate", "document", "GET", "/", False),
        ("navigate", "document", "GET", "/api/status", False),
        ("navigate", "document", "GET", "/events", True),
        ("navigate", "document", "GET", "/api/jobs/j1/events", True),
        ("navigate", "iframe", "GET", "/", True),
        ("navigate", "object", "GET", "/", True),
        ("no-cors", "image", "GET", "/", True),
        ("cors", "empty", "GET", "/", True),
        ("navigate", "document", "POST", "/", True),
    ],
)
def test_a_link_may_open_the_page_and_nothing_may_embed_it(
    mode: str, destination: str, method: str, path: str, is_refused: bool
) -> None:
    """From another site only a top-level navigation with GET passes, and none to a stream."""
    headers = {
        "host": "127.0.0.1:8700",
        "sec-fetch-site": "cross-site",
        "sec-fetch-mode": mode,
        "sec-fetch-dest": destination,
    }
    assert (refuse_origin(method, path, headers) is not None) is is_refused


@pytest.mark.parametrize("path", ["/login", "/api/status", "/nothing", "/health"])
async def test_no_reply_can_be_framed_sniffed_or_stored(path: str, tmp_path: Path) -> None:
    """Headers of all replies, errors included."""
    async with Setup(tmp_path).client() as client:
        headers = (await client.get(path)).headers
    assert headers["x-frame-options"] == "DENY"
    policy = headers["content-security-policy"]
    for part in ("default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'"):
        assert part in policy
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == "no-store"
    assert "access-control-allow-origin" not in headers
