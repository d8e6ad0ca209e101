"""Claims about the documents in which an agent names its own URL, as tables."""

from __future__ import annotations

import json

import pytest

from functions.protocols.documents import challenge, is_document, published, relocated

pytestmark = pytest.mark.pure

BASE = "https://agents.example.com/team"
OWN = ("abc.lambda-url.us-east-1.on.aws",)
CARD, METADATA = "/.well-known/agent-card.json", "/.well-known/oauth-protected-resource/mcp"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (CARD, True),
        ("/.well-known/agent.json", True),
        ("/sub/.well-known/agent-card.json", True),
        ("/.well-known/oauth-protected-resource", True),
        (METADATA, True),
        ("/.well-known/oauth-authorization-server", False),
        ("/agent-card.json", False),
        ("/", False),
    ],
)
def test_the_path_names_the_document(path: str, expected: bool) -> None:
    """The well-known paths, also of a mounted application."""
    assert is_document(path) is expected


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://localhost:9999/a2a", f"{BASE}/a2a"),
        ("http://localhost:9999/", f"{BASE}/"),
        ("http://localhost:9999", BASE),
        ("http://127.0.0.1:8000/mcp?a=b", f"{BASE}/mcp?a=b"),
        ("http://0.0.0.0:8000/mcp", f"{BASE}/mcp"),
        ("http://[::1]:8000/mcp", f"{BASE}/mcp"),
        ("http://[::]/mcp", f"{BASE}/mcp"),
        ("http://agent.localhost/mcp", f"{BASE}/mcp"),
        ("https://ABC.lambda-url.us-east-1.on.aws/mcp", f"{BASE}/mcp"),
        ("https://agents.example.com/mcp", None),
        ("https://other.example.com/a2a", None),
        ("https://localhost.example.com/a2a", None),
        ("https://user@localhost/a2a", None),
        ("grpc://localhost:50051", None),
        ("localhost:50051", None),
        ("/a2a", None),
        ("", None),
        (7, None),
        (None, None),
    ],
)
def test_only_a_url_that_no_client_can_use_is_replaced(url: object, expected: str | None) -> None:
    """Of this machine, or of the function; its path stays."""
    assert relocated(url, BASE, OWN) == expected


def test_a_url_that_is_right_already_stays() -> None:
    """On this machine a router has a loopback address too; the prefix is not added twice."""
    base = "http://127.0.0.1:8080/team"
    assert relocated(f"{base}/mcp", base, ()) is None
    assert relocated(base, base, ()) is None
    assert relocated(f"{base}s/mcp", base, ()) == f"{base}/teams/mcp"


def test_a_card_gets_the_url_in_each_of_its_interfaces() -> None:
    """Of 1.0 and of 0.3; all other members stay as they are, in order."""
    card = {
        "name": "Ägent",
        "url": "http://localhost:1/",
        "provider": {"url": "http://localhost:1/about"},
        "supportedInterfaces": [
            {"url": "http://localhost:1/a2a", "protocolBinding": "JSONRPC"},
            {"url": "https://elsewhere.example.com/a2a", "protocolBinding": "GRPC"},
            "odd",
        ],
        "additionalInterfaces": [{"url": "http://localhost:1/rest", "transport": "HTTP+JSON"}, {}],
    }
    body = published(CARD, json.dumps(card).encode(), BASE, ())
    assert body is not None
    found = json.loads(body)
    assert list(found) == list(card)
    assert found["url"] == f"{BASE}/"
    assert [one["url"] for one in found["supportedInterfaces"][:2]] == [
        f"{BASE}/a2a",
        "https://elsewhere.example.com/a2a",
    ]
    assert found["additionalInterfaces"][0]["url"] == f"{BASE}/rest"
    assert (found["name"], found["provider"]) == (card["name"], card["provider"])


def test_metadata_get_their_resource() -> None:
    """RFC 9728, section 3.3; the authorization server is another party."""
    found = {"resource": "http://localhost:1/mcp", "authorization_servers": ["http://localhost:2/"]}
    body = published(METADATA, json.dumps(found).encode(), BASE, ())
    assert json.loads(body or b"") == {**found, "resource": f"{BASE}/mcp"}


@pytest.mark.parametrize(
    ("path", "document"),
    [
        (CARD, {"url": "http://localhost:1/", "signatures": [{"protected": "e30", "signature": "x"}]}),
        (METADATA, {"resource": "http://localhost:1/mcp", "signed_metadata": "e30.e30.x"}),
        (CARD, {"url": "https://agents.example.com/"}),
        (CARD, {"resource": "http://localhost:1/"}),
        (CARD, ["http://localhost:1/"]),
        (CARD, {"supportedInterfaces": {"url": "http://localhost:1/"}}),
    ],
)
def test_a_document_that_is_signed_or_right_stays(path: str, document: object) -> None:
    """One byte more or less would break a signature."""
    assert published(path, json.dumps(document).encode(), BASE, ()) is None


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 20_000])
def test_what_is_no_json_stays(body: bytes) -> None:
    """The client gets what the agent sent."""
    assert published(CARD, body, BASE, ()) is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (
            b'Bearer error="invalid_token", resource_metadata="http://localhost:8000/.well-known/x"',
            f'Bearer error="invalid_token", resource_metadata="{BASE}/.well-known/x"'.encode(),
        ),
        (
            b'Bearer resource_metadata="https://x.example/m"',
            b'Bearer resource_metadata="https://x.example/m"',
        ),
        (b'Bearer realm="http://localhost/"', b'Bearer realm="http://localhost/"'),
        (b'Basic realm="\xe9"', b'Basic realm="\xe9"'),
    ],
)
def test_a_challenge_leads_to_the_metadata(value: bytes, expected: bytes) -> None:
    """RFC 9728, section 5.1."""
    assert challenge(value, BASE, ()) == expected
