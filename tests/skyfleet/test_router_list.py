"""Tests of the list of routers: what a client accepts, and what it refuses."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any

import pytest

from skyfleet.keys import hkdf
from skyfleet.router_list import (
    ISSUED_EACH_S,
    LIFETIME_S,
    MOST_BYTES,
    SKEW_S,
    RouterListError,
    digest_of,
    dump,
    issued,
    load,
    token,
)

pytestmark = pytest.mark.pure

KEY = "sf-a-made-up-key"
NOW = 1_700_000_123.5
URLS = ("https://a.example", "https://b.example:8443", "https://c.example/team")
LIST = issued(URLS, NOW, complete=True)
SIGNED = dump(LIST, digest_of(KEY))


def changed(document: bytes = SIGNED, **fields: Any) -> bytes:  # noqa: ANN401 - JSON
    return json.dumps({**json.loads(document), **fields}).encode()


def parts(document: bytes = SIGNED) -> list[str]:
    return str(json.loads(document)["signed"]).split(".")


def encoded(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def content(**fields: Any) -> str:  # noqa: ANN401 - JSON
    """Signed content with other fields and the signature of the true one."""
    header, text, mac = parts()
    found = json.loads(base64.urlsafe_b64decode(text + "=="))
    return f"{header}.{encoded({**found, **fields})}.{mac}"


def test_a_signed_list_is_read() -> None:
    """With the times within which it is valid."""
    found = load(SIGNED, KEY, NOW)
    assert found == LIST
    assert (found.routers, found.complete) == (URLS, True)
    assert NOW - ISSUED_EACH_S < found.issued <= NOW
    assert found.expires == found.issued + LIFETIME_S


def test_only_what_is_signed_counts() -> None:
    """The other members are for reading."""
    assert load(changed(routers=["https://evil.example"], exp=1), KEY, NOW) == LIST


def test_the_same_list_is_the_same_document() -> None:
    """In every instance, until it is issued again."""
    began = NOW // ISSUED_EACH_S * ISSUED_EACH_S
    documents = {
        dump(issued(URLS, began + seconds, complete=True), digest_of(KEY))
        for seconds in (0, 1, ISSUED_EACH_S - 1)
    }
    assert len(documents) == 1
    assert dump(issued(URLS, began + ISSUED_EACH_S, complete=True), digest_of(KEY)) not in documents


REFUSED: list[tuple[str, bytes, float, str]] = [
    ("another key", dump(LIST, digest_of("sf-other")), NOW, "not signed with this API key"),
    ("no signature", dump(LIST, None), NOW, "It is not signed, as that of a router without"),
    ("null", changed(signed=None), NOW, "It is not signed"),
    ("other content", changed(signed=content(routers=["https://evil.example"])), NOW, "not signed with"),
    ("a later end", changed(signed=content(exp=2_000_000_000)), NOW, "not signed with this API key"),
    ("no MAC", changed(signed=".".join([*parts()[:2], ""])), NOW, "not signed with this API key"),
    (
        "algorithm none",
        changed(signed=".".join([encoded({"alg": "none"}), parts()[1], ""])),
        NOW,
        "not signed with this API key",
    ),
    ("one part", changed(signed="x"), NOW, "not signed with this API key"),
    ("no ASCII", changed(signed="ä.b.c"), NOW, "not signed with this API key"),
    ("expired", SIGNED, LIST.expires + SKEW_S + 1, "It expired 301 s ago"),
    ("from the future", SIGNED, LIST.issued - SKEW_S - 1, "in the future; compare the clocks"),
    ("too long", SIGNED + b" " * MOST_BYTES, NOW, "more than 131072 bytes"),
    ("no JSON", b"<html>", NOW, "not a JSON object"),
    ("nested", b"[" * 100_000, NOW, "not a JSON object"),
    ("a list", b"[]", NOW, "not a JSON object"),
    ("another version", changed(version=2), NOW, "Its version is 2, expected 1"),
]


@pytest.mark.parametrize(
    ("document", "now", "why"), [row[1:] for row in REFUSED], ids=[r[0] for r in REFUSED]
)
def test_what_the_key_did_not_sign_or_not_for_now_is_refused(document: bytes, now: float, why: str) -> None:
    """With words."""
    with pytest.raises(RouterListError, match=why):
        load(document, KEY, now)


MALFORMED: list[tuple[str, dict[str, Any], str]] = [
    ("no routers", {"routers": []}, "It lists no routers"),
    ("text", {"routers": "https://a.example"}, "It lists no routers"),
    ("no flag", {"complete": 1}, "does not say whether these are all"),
    ("no time", {"iat": "1700000000"}, "not whole unix seconds"),
    ("a fraction", {"exp": 1.7e9}, "not whole unix seconds"),
    ("no URL", {"routers": ["a.example"]}, "expected URLs"),
    ("another scheme", {"routers": ["ftp://a.example"]}, "expected URLs"),
    ("a user", {"routers": ["https://a.example@evil.example"]}, "expected URLs"),
    ("a query", {"routers": ["https://a.example?x"]}, "expected URLs"),
    ("a number", {"routers": [1]}, "expected URLs"),
]


@pytest.mark.parametrize(("fields", "why"), [row[1:] for row in MALFORMED], ids=[row[0] for row in MALFORMED])
def test_a_malformed_list_is_refused(fields: dict[str, Any], why: str) -> None:
    """Also without a signature, as an open router sends it."""
    with pytest.raises(RouterListError, match=why):
        load(changed(dump(LIST, None), **fields), None, NOW)


def test_an_open_routers_list_is_read_without_a_key() -> None:
    """Nothing protects it."""
    assert load(dump(LIST, None), None, NOW) == LIST


def test_the_token_tells_neither_the_key_nor_how_to_sign() -> None:
    """It is derived under a label of its own."""
    assert KEY not in token(digest_of(KEY))
    assert token(digest_of(KEY)) != token(digest_of("sf-other"))
    forged = dump(LIST, token(digest_of(KEY)).encode())
    with pytest.raises(RouterListError, match="not signed with this API key"):
        load(forged, KEY, NOW)


def test_a_list_signed_in_another_form_is_refused() -> None:
    """Even with the right key, so that no other algorithm is ever tried."""
    text = f"{encoded({'alg': 'HS512'})}.{parts()[1]}"
    with pytest.raises(RouterListError, match="in another form"):
        load(changed(signed=f"{text}.{mac(text)}"), KEY, NOW)


def test_other_languages_verify_it_as_a_json_web_signature() -> None:
    """HS256 over header and content, with the key that docs/client.md describes."""
    header, text, found = parts()
    assert json.loads(base64.urlsafe_b64decode(header + "==")) == {
        "alg": "HS256",
        "typ": "skyfleet-routers+jwt",
    }
    assert found == mac(f"{header}.{text}")


def mac(text: str) -> str:
    digest = hashlib.sha256(KEY.encode()).digest()
    key = hkdf(digest, b"skyfleet router list v1: signature")
    return base64.urlsafe_b64encode(hmac.digest(key, text.encode(), "sha256")).rstrip(b"=").decode()
