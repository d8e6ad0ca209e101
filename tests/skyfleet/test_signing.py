"""Tests of request signing: the signature, its time window and the cache of nonces."""

from __future__ import annotations

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skyfleet.signing import (
    FORWARDED,
    NONCE,
    SIGNATURE,
    TIMESTAMP,
    WINDOW_S,
    Cause,
    Keys,
    KeysError,
    NonceCache,
    Unauthorized,
    Verifier,
    sign,
    sign_request,
)
from skyfleet.spelling import plain_path, plain_query

pytestmark = pytest.mark.pure

NOW = 1_800_000_000.0
KEYS = Keys.parse('{"k2": "a-newer-made-up-secret", "k1": "an-older-made-up-secret"}')
FRESH = "0123456789abcdef" * 2
Headers = list[tuple[bytes, bytes]]

methods = st.sampled_from(["GET", "POST", "DELETE"])
paths = st.text(max_size=30).map(lambda text: f"/{text}")
queries = st.binary(max_size=30)
bodies = st.binary(max_size=200)


@dataclasses.dataclass(frozen=True)
class Request:
    """The parts of a request that the signature covers."""

    method: str
    path: str
    query: bytes
    body: bytes

    @property
    def spelled(self) -> Request:
        """The same in one spelling, in which it is signed."""
        return Request(self.method, plain_path(self.path), plain_query(self.query), self.body)

    def sign(self, keys: Keys = KEYS, now: float = NOW, nonce: str = FRESH) -> Headers:
        return sign(keys, self.method, self.path, self.query, self.body, now=now, nonce=nonce)

    def verify(self, headers: Headers, *, keys: Keys = KEYS, now: float = NOW, seen: NonceCache) -> None:
        receiver = Verifier(keys, seen)
        receiver.check(headers, self.method, self.path, self.query, self.body, now=now)

    def cause(
        self, headers: Headers, *, keys: Keys = KEYS, now: float = NOW, seen: NonceCache | None = None
    ) -> Cause:
        with pytest.raises(Unauthorized) as raised:
            self.verify(headers, keys=keys, now=now, seen=seen or NonceCache())
        assert str(raised.value) == Unauthorized.message
        return raised.value.cause


@dataclasses.dataclass(frozen=True)
class Telling(Request):
    """A request of a router, which tells of its client."""

    forwarded: bytes


requests = st.builds(Request, methods, paths, queries, bodies)
PLAIN = Request("POST", "/invoke", b"a=1", b'{"input": "x"}')


@given(requests)
def test_a_signed_request_is_accepted_once(request: Request) -> None:
    """The first request with a signature is accepted and its replay is refused."""
    seen, headers = NonceCache(), request.sign()
    request.verify(headers, seen=seen)
    assert request.cause(headers, seen=seen) == "replayed"


@given(requests, requests)
def test_a_signature_is_valid_for_one_request_only(one: Request, other: Request) -> None:
    """The signature covers method, path, query and body."""
    if one.spelled != other.spelled:
        assert other.cause(one.sign()) == "wrong-signature"
    else:
        other.verify(one.sign(), seen=NonceCache())


def test_a_signature_covers_what_is_told_of_the_client() -> None:
    """Added, changed, removed or repeated on the way, `x-skyfleet-forwarded` makes the request invalid."""
    told = (FORWARDED, b'for="";host="a.example";proto=https')
    query, body = PLAIN.query, PLAIN.body
    headers = sign_request(KEYS, Telling("POST", "/invoke", query, body, told[1]), now=NOW, nonce=FRESH)
    assert headers[-1] == told
    PLAIN.verify(headers, seen=NonceCache())
    assert PLAIN.cause([*headers[:-1], (FORWARDED, told[1] + b"x")]) == "wrong-signature"
    assert PLAIN.cause(headers[:-1]) == "wrong-signature"
    assert PLAIN.cause([*PLAIN.sign(), told]) == "wrong-signature"
    assert PLAIN.cause([*headers, told]) == "repeated-header"


@pytest.mark.parametrize("length", [16, 63, 64, 65, 200])
def test_a_key_of_any_length_signs_as_hmac_does(length: int) -> None:
    """RFC 2104, section 2: a longer key than a block is hashed first, a shorter one filled up. The receiver
    computes its signature with `hmac`."""
    keys = Keys.parse(json.dumps({"k1": "secret-of-letters"[:16] + "x" * (length - 16)}))
    request = Request("POST", "/invoke", b"", b"{}")
    request.verify(request.sign(keys), keys=keys, seen=NonceCache())


def test_a_question_mark_in_the_path_is_not_a_query() -> None:
    """`/a%3Fb` decodes to the path `/a?b`, which is another request than `/a` with the query `b`."""
    assert Request("GET", "/a", b"b", b"").cause(Request("GET", "/a?b", b"", b"").sign()) == "wrong-signature"


@pytest.mark.parametrize(
    ("late", "cause"), [(-WINDOW_S - 1, "too-new"), (WINDOW_S + 1, "too-old"), (0, None)]
)
def test_the_window_is_five_minutes_both_ways(late: float, cause: Cause | None) -> None:
    """A signature is valid within WINDOW_S of the receiver's clock."""
    if cause is None:
        PLAIN.verify(PLAIN.sign(), now=NOW, seen=NonceCache())
    else:
        assert PLAIN.cause(PLAIN.sign(), now=NOW + late) == cause


def test_every_configured_key_is_accepted_and_the_first_one_signs() -> None:
    """During a rotation the receiver accepts the old and the new key, and afterwards only the new one."""
    old, new = Keys.parse('{"k1": "an-older-made-up-secret"}'), Keys.parse('{"k2": "a-newer-made-up-secret"}')
    PLAIN.verify(PLAIN.sign(old), seen=NonceCache())
    PLAIN.verify(PLAIN.sign(KEYS), keys=new, seen=NonceCache())
    assert PLAIN.cause(PLAIN.sign(old), keys=new) == "unknown-key"


@pytest.mark.parametrize(
    ("name", "value", "cause"),
    [
        (TIMESTAMP, b"yesterday", "malformed-header"),
        (TIMESTAMP, b"9" * 40, "malformed-header"),
        (NONCE, b"xyz", "malformed-header"),
        (NONCE, b"00 " * 10 + b"00", "malformed-header"),
        (SIGNATURE, b"00", "wrong-signature"),
        (SIGNATURE, b"\xff\xfe", "malformed-header"),
    ],
)
def test_malformed_headers_are_refused(name: bytes, value: bytes, cause: Cause) -> None:
    """Any malformed value raises Unauthorized and no other exception."""
    headers = [(k, value if k == name else v) for k, v in PLAIN.sign()]
    assert PLAIN.cause(headers) == cause


def test_missing_and_repeated_headers_are_refused() -> None:
    """Each header must occur exactly once, since another parser might read the second value."""
    headers = PLAIN.sign()
    for index in range(len(headers)):
        assert PLAIN.cause(headers[:index] + headers[index + 1 :]) == "missing-header"
        assert PLAIN.cause([*headers, headers[index]]) == "repeated-header"


def test_a_request_with_a_wrong_signature_does_not_use_up_its_nonce() -> None:
    """A client without a key can neither fill the cache nor block the nonce of another request."""
    seen = NonceCache()
    forged = [(k, b"0" * 64 if k == SIGNATURE else v) for k, v in PLAIN.sign()]
    assert PLAIN.cause(forged, seen=seen) == "wrong-signature"
    assert len(seen) == 0
    PLAIN.verify(PLAIN.sign(), seen=seen)


def test_nonces_are_removed_when_they_expire() -> None:
    """The cache keeps only nonces within the time window."""
    seen = NonceCache()
    for second in range(1000):
        assert seen.remember(second.to_bytes(16), int(NOW) + second, NOW + second) is None
    assert len(seen) == WINDOW_S + 1


def test_a_full_cache_shortens_the_window_and_accepts_no_replay() -> None:
    """Beyond its capacity the cache refuses old requests instead of accepting replays."""
    seen = NonceCache(capacity=10)
    for second in range(20):
        assert seen.remember(second.to_bytes(16), int(NOW) + second, NOW) is None
    assert len(seen) <= 10
    for second in range(20):
        assert seen.remember(second.to_bytes(16), int(NOW) + second, NOW) in ("replayed", "too-old")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "not JSON"),
        ("[]", "a list"),
        ("{}", "empty"),
        ('{"k1": ""}', "'k1'"),
        ('{"k1": "x"}', "'k1' has 1 characters, at least 16"),
        ('{"k2": "a-newer-made-up-secret", "k1": "15-characters-x"}', "'k1' has 15 characters"),
        ('{"k 1": "x"}', "'k 1'"),
        ("@Microsoft.KeyVault(SecretUri=https://v.test/s)", "Key Vault reference"),
    ],
)
def test_unusable_keys_are_named_without_being_shown(text: str, words: str) -> None:
    """The error names the key id and the reason."""
    with pytest.raises(KeysError, match=words):
        Keys.parse(text)


def test_no_repr_shows_a_secret() -> None:
    """A repr may reach a log."""
    assert "a-newer-made-up-secret" not in repr(KEYS)
    assert "an-older-made-up-secret" not in str(KEYS)
    with pytest.raises(KeysError) as raised:
        Keys.parse('{"k1": "hush-hush"')
    assert "hush" not in str(raised.value)
