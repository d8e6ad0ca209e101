"""Stored tokens, rates and the audit log's file."""

from __future__ import annotations

import itertools
import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.manager.access import audit
from infra.manager.access.limits import Bucket, Limiter, Rate, take
from infra.manager.access.tokens import InvalidToken, Role, TokenStore, find, parse
from infra.manager.errors import Unavailable
from tests.infra.manager.fakes import NOW


def test_a_token_is_stored_as_its_hash_for_the_user_alone(tmp_path: Path) -> None:
    """The file has no secret, and only its owner reads it."""
    store = TokenStore(tmp_path / "manager" / "tokens.json")
    secret = store.create("ole@example.org", Role.OPERATOR, NOW, 30)
    text = store.path.read_text()
    assert secret.startswith("skyfleet_")
    assert len(secret) > 50
    assert secret not in text
    assert store.path.stat().st_mode & 0o77 == 0
    assert store.path.parent.stat().st_mode & 0o77 == 0
    found = find(store.all(), secret)
    assert found is not None
    assert (found.name, found.role, found.expires) == ("ole@example.org", "operator", NOW + 30 * 86_400)
    assert find(store.all(), secret + "x") is None
    assert [one.name for one in tmp_path.glob("manager/*")] == ["tokens.json"]


@pytest.mark.parametrize("name", ["", "local", "a b", "../x", "-x", "x" * 65, "x\n", "\xe9"])
def test_a_name_that_cannot_be_used_is_refused(name: str, tmp_path: Path) -> None:
    """With the rule, and nothing is stored."""
    store = TokenStore(tmp_path / "tokens.json")
    with pytest.raises(InvalidToken, match="no name for a token"):
        store.create(name, Role.VIEWER, NOW, None)
    assert not store.path.exists()


@pytest.mark.parametrize("days", [math.nan, math.inf, 0.0, -1.0, 36_501, 1e308])
def test_a_lifetime_that_cannot_be_stored_is_refused(days: float, tmp_path: Path) -> None:
    """NaN in the file would make it unreadable, and then no other token counts either."""
    store = TokenStore(tmp_path / "tokens.json")
    store.create("ole", Role.VIEWER, NOW, 36_500)
    with pytest.raises(InvalidToken, match="days"):
        store.create("ada", Role.VIEWER, NOW, days)
    assert [token.name for token in store.all()] == ["ole"]


def test_a_name_is_given_once_and_free_after_its_revocation(tmp_path: Path) -> None:
    """Two tokens of one name could not be told apart in the log."""
    store = TokenStore(tmp_path / "tokens.json")
    first = store.create("ole", Role.VIEWER, NOW, None)
    with pytest.raises(InvalidToken, match="already"):
        store.create("ole", Role.OPERATOR, NOW, None)
    assert store.revoke("ole")
    assert not store.revoke("ole")
    second = store.create("ole", Role.OPERATOR, NOW, None)
    assert find(store.all(), first) is None
    assert find(store.all(), second) is not None


GOOD = {"name": "a", "role": "viewer", "sha256": "0" * 64, "created": 1.0, "expires": None}
WRONG: tuple[dict[str, object], ...] = (
    {"role": "admin"},
    {"name": ""},
    {"sha256": "0"},
    {"created": None},
    {"expires": "never"},
)


@pytest.mark.parametrize(
    "stored",
    [
        "",
        "[]",
        "{}",
        '{"tokens": {}}',
        '{"tokens": [1]}',
        *(json.dumps({"tokens": [GOOD, {**GOOD, **wrong}]}) for wrong in WRONG),
    ],
)
def test_a_damaged_file_is_no_token_at_all(stored: str, tmp_path: Path) -> None:
    """Neither its good entries nor an expiry that cannot be read count."""
    assert parse(stored) is None
    store = TokenStore(tmp_path / "tokens.json")
    store.path.write_text(stored)
    with pytest.raises(Unavailable, match="no request is let in"):
        store.all()


RATE = Rate(3, 2.0)


def test_a_bucket_lets_a_burst_pass_and_fills_again() -> None:
    """Three at once, then one each two seconds; waiting as told is enough."""
    bucket: Bucket | None = None
    waits: list[float] = []
    for at in (0.0, 0.0, 0.0, 0.0, 1.0, 2.0, 2.0):
        bucket, wait = take(bucket, RATE, at)
        waits.append(wait)
    assert waits == [0, 0, 0, 2.0, 1.0, 0, 2.0]


@given(times=st.lists(st.floats(0, 100), max_size=60))
def test_no_more_pass_than_burst_and_time_allow(times: list[float]) -> None:
    """In any order of times, a clock that goes back included."""
    bucket: Bucket | None = None
    passed = 0
    for at in times:
        bucket, wait = take(bucket, RATE, at)
        passed += wait == 0
    ups = sum(max(0.0, later - earlier) for earlier, later in itertools.pairwise(times))
    assert passed <= 3 + ups / RATE.each_s + 1e-6


def test_the_table_of_buckets_is_bounded() -> None:
    """Names of a flood do not fill the memory."""
    limiter = Limiter()
    for number in range(3000):
        limiter.wait_s(str(number), "read", 0.0)
    limiter.wait_s("last", "failed", 0.0)
    assert len(limiter._buckets) == 1000  # pyright: ignore[reportPrivateUsage]


def test_a_log_that_is_full_starts_again_and_one_that_cannot_be_written_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The former file is kept; on an error the line is in the manager's own log."""
    monkeypatch.setattr(audit, "MOST_BYTES", 100)
    log = audit.AuditLog(tmp_path / "audit.jsonl")
    for number in range(5):
        log.write(audit.line(NOW, "ole", 202, {"action": "create", "job": f"j{number}"}))
    assert '"j4"' in log.path.read_text()
    assert '"j3"' in (tmp_path / "audit.jsonl.1").read_text() + log.path.read_text()
    log.path.unlink()
    log.path.mkdir()
    log.write(audit.line(NOW, "ole", 202, {"action": "delete"}))
    assert "the audit log cannot be written" in caplog.text
    assert '"action": "delete"' in caplog.text
