"""Tests of derived keys: each signs for one role at one place, and no key is accepted for another."""

from __future__ import annotations

import json
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skyfleet.keys import CheckerKeys, Role, Roots, derive, derived, derived_id, hkdf, place_of
from skyfleet.signing import Keys, KeysError, Unauthorized, Verifier, sign

pytestmark = pytest.mark.pure

NOW = 1_800_000_000.0
NONCE = "0123456789abcdef" * 2
roles = st.sampled_from(["agent", "checker"])
names = st.text("abcdefghijklmnopqrstuvwxyz0123456789-", min_size=1, max_size=20)
places = st.tuples(names, names).map("/".join)
roots = st.text("abcdefghijABCDEFGHIJ0123456789", min_size=16, max_size=43)
generations = st.lists(st.integers(1, 9), min_size=1, max_size=3, unique=True)
holders = st.tuples(st.sampled_from(["k1", "k2"]), roles, places)
BY_ID = {"k2": "a-newer-made-up-secret", "k1": "an-older-made-up-secret"}
ROOTS = Roots.parse(json.dumps(BY_ID))


def accepted(receiver: Verifier, sender: Keys) -> str:
    """The key id under which a receiver accepts the sender's request, or the cause of the refusal."""
    headers = sign(sender, "POST", "/invoke", b"", b"{}", now=NOW, nonce=NONCE)
    try:
        return receiver.check(headers, "POST", "/invoke", b"", b"{}", now=NOW)
    except Unauthorized as error:
        return error.cause


def named(key: str, key_id: str) -> Keys:
    """A stolen key under an id of the thief's choice."""
    return Keys({key_id: key.encode()}, key_id)


def test_the_derivation_is_hkdf_as_published() -> None:
    """RFC 5869, test case 3 (no salt, no info): the first block of the output."""
    expected = "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d"
    assert hkdf(bytes([0x0B] * 22), b"").hex() == expected


def test_the_derivation_does_not_change() -> None:
    """A changed derivation would break every request between two builds with one root."""
    made = derive("a-newer-made-up-secret", "agent", "aws/eu-west-1")
    assert made == hkdf(b"a-newer-made-up-secret", b"skyfleet signing key v1: agent:aws/eu-west-1").hex()
    assert made == "6d4cc4fbe320fd65787d8b88f736b1fcf81ed66bf601b71510602a45631a9bd4"


@given(st.tuples(roots, roles, places), st.tuples(roots, roles, places))
def test_distinct_names_have_distinct_keys(one: tuple[str, Role, str], other: tuple[str, Role, str]) -> None:
    """The key depends on root, role and place."""
    assert (derive(*one) == derive(*other)) is (one == other)


@given(holders, holders, holders)
def test_no_key_is_accepted_for_another_role_place_or_generation(
    holder: tuple[str, Role, str], receiver: tuple[str, Role, str], claim: tuple[str, Role, str]
) -> None:
    """An agent or a checker accepts only its own key under its own id."""
    stolen = named(derive(BY_ID[holder[0]], *holder[1:]), derived_id(*claim))
    own = ROOTS.keys(*receiver[1:])
    let_in = accepted(Verifier(own), stolen) not in ("unknown-key", "wrong-signature")
    assert let_in is (holder == claim and claim[1:] == receiver[1:])


@given(holders, holders)
def test_a_router_accepts_a_checker_under_its_own_name_only(
    holder: tuple[str, Role, str], claim: tuple[str, Role, str]
) -> None:
    """The router accepts neither an agent's key nor another checker's key for a checker."""
    stolen = named(derive(BY_ID[holder[0]], *holder[1:]), derived_id(*claim))
    found = accepted(Verifier(CheckerKeys(ROOTS)), stolen)
    if holder == claim and holder[1] == "checker":
        assert place_of(found) == holder[2]
    else:
        assert found in ("unknown-key", "wrong-signature")


@given(holders)
def test_a_root_is_not_the_key_of_any_role(claim: tuple[str, Role, str]) -> None:
    """No receiver accepts a request that is signed with a root."""
    for root in BY_ID.values():
        for receiver in (Verifier(CheckerKeys(ROOTS)), Verifier(ROOTS.keys(*claim[1:]))):
            for key_id in (derived_id(*claim), "k1", "k2"):
                assert accepted(receiver, named(root, key_id)) in ("unknown-key", "wrong-signature")


@given(generations, generations, roles, places)
def test_a_receiver_accepts_each_generation_that_it_knows(
    senders: list[int], receivers: list[int], role: Role, place: str
) -> None:
    """Rotation relies on this: the order of the receiver's generations does not matter."""

    def secrets(numbers: list[int]) -> dict[str, str]:
        return {f"k{number}": f"a-made-up-secret-number-{number}" for number in numbers}

    sender = Roots.parse(json.dumps(secrets(senders))).keys(role, place)
    receiver = Verifier(Keys.parse(json.dumps(derived(secrets(receivers), role, place))))
    expected = derived_id(f"k{senders[0]}", role, place) if senders[0] in receivers else "unknown-key"
    assert accepted(receiver, sender) == expected


@pytest.mark.parametrize(
    "key_id",
    [
        "",
        ":",
        "k2",
        "k2:",
        "k2:checker",
        "k2:checker:",
        "k3:checker:aws/a",
        "k2:agent:aws/a",
        "K2:checker:a/b",
    ],
)
def test_a_malformed_id_finds_no_checkers_key(key_id: str) -> None:
    """An id needs a known root, the role `checker` and a place."""
    assert CheckerKeys(ROOTS).find(key_id) is None


def test_a_router_that_is_given_derived_keys_does_not_start() -> None:
    """The error explains that roots are needed and does not contain the key."""
    text = json.dumps(derived(BY_ID, "agent", "aws/eu-west-1"))
    with pytest.raises(KeysError, match="derived for one function") as raised:
        Roots.parse(text)
    assert not any(key in str(raised.value) for key in cast("dict[str, str]", json.loads(text)).values())


def test_no_repr_shows_a_root() -> None:
    """A repr of the settings may reach a log."""
    assert "made-up-secret" not in repr(ROOTS)
    assert "made-up-secret" not in repr(CheckerKeys(ROOTS))


@given(places)
def test_a_place_is_read_back_from_an_id(place: str) -> None:
    """This holds for any place name."""
    assert place_of(derived_id("k1", "checker", place)) == place
