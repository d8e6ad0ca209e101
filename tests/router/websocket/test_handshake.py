"""Claims about handshakes: where the key may be, and which pages may connect."""

from __future__ import annotations

import base64

import pytest

from router.core.errors import CallerError
from router.websocket.handshake import KEY_PREFIX, check_origin, check_path, key_fields, selected

PAGE, OTHER = "https://app.example", "https://evil.example"


@pytest.mark.parametrize("key", ["k", "a made-up key", "ü", "x" * 200, "??>>"])
def test_a_key_may_be_a_subprotocol(key: str) -> None:
    """In base64url without padding, as Kubernetes takes its tokens; with padding too."""
    coded = base64.urlsafe_b64encode(key.encode()).decode()
    for form in (coded, coded.rstrip("=")):
        assert key_fields(["skyfleet.v1", KEY_PREFIX + form]) == [
            (b"authorization", b"Bearer " + key.encode())
        ]
    assert key_fields(["skyfleet.v1", "base64url.bearer.authorization.k8s.io.YQ"]) == []


@pytest.mark.parametrize("coded", ["a", "%%%%", "YQ YQ"])
def test_a_key_that_cannot_be_read_is_named(coded: str) -> None:
    """As a 400, since 401 would say that the key is wrong."""
    with pytest.raises(CallerError) as caught:
        key_fields([KEY_PREFIX + coded])
    assert caught.value.status == 400


def test_the_router_selects_its_own_subprotocol() -> None:
    """Never the key, which a server must not repeat."""
    assert selected([KEY_PREFIX + "YQ", "skyfleet.v1"]) == "skyfleet.v1"
    assert selected([KEY_PREFIX + "YQ"]) is None
    assert selected([]) is None


def test_agents_get_no_websocket() -> None:
    """One path is the router's; any other is told so."""
    check_path(b"/ws")
    for path in (b"/chat", b"/ws/", b"/%77s", b"//ws"):
        with pytest.raises(CallerError) as caught:
            check_path(path)
        assert caught.value.status == 404


ORIGINS: list[tuple[str, str, tuple[str, ...], bool, bool]] = [
    # origin, host, of the config, no key needed: allowed
    ("", "r.example", (), False, True),
    ("", "r.example", (PAGE,), True, True),
    (OTHER, "r.example", (), False, True),
    (OTHER, "r.example", (), True, False),
    ("null", "r.example", (), True, False),
    ("http://localhost:3", "localhost:3", (), True, True),
    ("http://localhost:4", "localhost:3", (), True, False),
    (PAGE, "r.example", (PAGE,), False, True),
    (PAGE, "r.example", (PAGE,), True, True),
    (OTHER, "r.example", (PAGE,), False, False),
    (OTHER, "r.example", ("*",), True, True),
    ("https://r.example", "r.example", (PAGE,), False, True),
]


@pytest.mark.parametrize(("origin", "host", "config", "keyless", "allowed"), ORIGINS)
def test_the_origin_rule(
    origin: str, host: str, config: tuple[str, ...], keyless: bool, allowed: bool
) -> None:
    """Named origins are the only ones; without a list the key decides; without a key, the host."""
    told = None
    try:
        check_origin(origin.encode(), host.encode(), config, keyless=keyless)
    except CallerError as error:
        told = error.status, error.code
    assert told == (None if allowed else (403, "origin-not-allowed"))
