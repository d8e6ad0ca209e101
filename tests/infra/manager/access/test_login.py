"""The login of browsers: a token becomes a session's cookie."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.manager.access import login
from infra.manager.access.sessions import LONGEST_S, MOST, Sessions
from infra.manager.access.tokens import Role, Token, digest
from tests.infra.manager.fakes import NOW, Setup

FORM = {"content-type": "application/x-www-form-urlencoded"}


@pytest.fixture
def setup(tmp_path: Path) -> Setup:
    """The manager of a real stack."""
    return Setup(tmp_path, is_local=False)


async def test_a_browser_logs_in_works_and_logs_out(setup: Setup) -> None:
    """The cookie is out of reach for scripts and other sites, and is not the token."""
    secret = setup.access.tokens.create("ole", Role.OPERATOR, NOW, None)
    async with setup.client() as client:
        reply = await client.post("/login", data={"token": f" {secret} "})
        cookie = reply.headers["set-cookie"]
        status = await client.get("/api/status")
        change = await client.post("/api/strategy", json={"name": "cost"})
        kept = client.cookies["skyfleet-manager"]
        await client.post("/logout")
        after = await client.get("/api/status", headers={"cookie": f"skyfleet-manager={kept}"})
    assert (reply.status_code, reply.headers["location"]) == (303, "/")
    assert {"HttpOnly", "SameSite=strict", "Path=/"} <= {part.strip() for part in cookie.split(";")}
    assert secret not in cookie
    assert (status.status_code, change.status_code, after.status_code) == (200, 200, 401)
    assert '"action": "login"' in setup.audited()
    assert secret not in setup.audited()


@pytest.mark.parametrize(
    ("fields", "is_secure"),
    [
        ({"origin": "https://fleet.example"}, True),
        ({"x-forwarded-proto": "https"}, True),
        ({"origin": "http://fleet.example"}, False),
        ({}, False),
    ],
)
async def test_a_cookie_of_https_is_not_sent_over_http(
    fields: dict[str, str], is_secure: bool, tmp_path: Path
) -> None:
    """The proxy in front has the certificate, so the browser's own words count."""
    setup = Setup(tmp_path, is_local=False, hosts=("fleet.example",))
    secret = setup.access.tokens.create("ole", Role.OPERATOR, NOW, None)
    async with setup.client(host="fleet.example", **fields) as client:
        reply = await client.post("/login", data={"token": secret})
    assert reply.status_code == 303
    assert ("; Secure" in reply.headers["set-cookie"]) is is_secure


async def test_a_login_ends_the_session_before_it_and_leads_to_the_page(setup: Setup) -> None:
    """An id that was known before a login is worth nothing after it, and no parameter leads elsewhere."""
    secret = setup.access.tokens.create("ole", Role.OPERATOR, NOW, None)
    async with setup.client() as client:
        await client.post("/login", data={"token": secret})
        before = client.cookies["skyfleet-manager"]
        again = await client.post("/login?next=//evil.example", data={"token": secret})
        after = client.cookies["skyfleet-manager"]
        client.cookies.clear()
        old, new = [
            await client.get("/api/status", headers={"cookie": f"skyfleet-manager={one}"})
            for one in (before, after)
        ]
    assert again.headers["location"] == "/"
    assert (old.status_code, new.status_code) == (401, 200)


async def test_a_browser_without_a_session_reaches_the_login_in_a_flood(tmp_path: Path) -> None:
    """It has presented no token, so it has guessed none; an open page that lost its session asks often."""
    setup = Setup(tmp_path, is_local=False, limits=True)
    async with setup.client() as client:
        flood = [(await client.get("/events")).status_code for _ in range(12)]
        page = await client.get("/", headers={"accept": "text/html"})
        form = await client.get("/login")
    assert flood == [401] * 10 + [429] * 2
    assert (page.status_code, page.headers.get("location")) == (303, "/login")
    assert form.status_code == 200


@pytest.mark.parametrize("token", ["", "wrong", "skyfleet_" + "x" * 43, "\x00", "a" * 5000])
async def test_a_wrong_token_shows_the_form_again(token: str, setup: Setup) -> None:
    """401 with the reason, no cookie."""
    async with setup.client() as client:
        reply = await client.post("/login", data={"token": token})
    assert reply.status_code == 401
    assert "unknown or was revoked" in reply.text
    assert "set-cookie" not in reply.headers


@pytest.mark.parametrize(
    ("stack", "command"),
    [
        ("local", "skyfleet manager token create NAME --role operator</code>"),
        ("team/prod", "skyfleet manager token create NAME --role operator --stack team/prod</code>"),
    ],
)
def test_the_login_says_how_to_make_a_token(stack: str, command: str) -> None:
    """With the option that the stack of this manager needs."""
    shown = login.page(login.Looks(), stack)
    assert command in shown
    assert f">{stack}</span>" in shown


async def test_an_expired_token_is_named_as_such(setup: Setup) -> None:
    """The form says that it has expired."""
    secret = setup.access.tokens.create("ole", Role.OPERATOR, NOW - 86_400 * 2, 1)
    async with setup.client() as client:
        reply = await client.post("/login", data={"token": secret})
    assert (reply.status_code, "has expired" in reply.text) == (401, True)


async def test_a_login_in_another_form_is_refused(setup: Setup) -> None:
    """415 for JSON, 413 for too much."""
    async with setup.client() as client:
        as_json = await client.post("/login", json={"token": "x"})
        large = await client.post("/login", content=b"token=" + b"x" * 20_000, headers=FORM)
    assert (as_json.status_code, large.status_code) == (415, 413)


async def test_a_page_without_a_session_leads_to_the_login(setup: Setup) -> None:
    """A browser is redirected, a program gets 401."""
    async with setup.client() as client:
        browser = await client.get("/", headers={"accept": "text/html,*/*"})
        program = await client.get("/", headers={"accept": "*/*"})
        api = await client.get("/api/status", headers={"accept": "text/html"})
        form = await client.get("/login")
    assert (browser.status_code, browser.headers["location"]) == (303, "/login")
    assert (program.status_code, api.status_code) == (401, 401)
    assert 'type="password"' in form.text


async def test_guesses_of_the_login_are_limited(tmp_path: Path) -> None:
    """429 after ten, with Retry-After."""
    setup = Setup(tmp_path, is_local=False, limits=True)
    async with setup.client() as client:
        statuses = [(await client.post("/login", data={"token": str(n)})).status_code for n in range(12)]
    assert statuses == [401] * 10 + [429] * 2


@pytest.mark.parametrize(("path", "form"), [("/login", {"token": "wrong"}), ("/logout", {}), ("/health", {})])
async def test_a_flood_without_a_token_does_not_fill_the_audit_log(
    path: str, form: dict[str, str], tmp_path: Path
) -> None:
    """The paths that need no token; a login in the middle of it has its line."""
    setup = Setup(tmp_path, is_local=False, limits=True)
    secret = setup.access.tokens.create("ole", Role.OPERATOR, NOW, None)
    async with setup.client() as client:
        for _ in range(60):
            await client.post(path, data=form)
        await client.post("/login", data={"token": secret})
    lines = setup.audited().splitlines()
    assert len(lines) == 11
    assert '"target": "ole"' in lines[-1]


@pytest.mark.parametrize(("scheme", "is_secure"), [("https", True), ("HTTPS", True), ("http", False)])
async def test_the_cookie_is_secure_behind_a_proxy_with_tls(
    scheme: str, is_secure: bool, setup: Setup
) -> None:
    """A browser then sends it by HTTPS only."""
    secret = setup.access.tokens.create("ole", Role.OPERATOR, NOW, None)
    async with setup.client(**{"x-forwarded-proto": scheme}) as client:
        reply = await client.post("/login", data={"token": secret})
    assert ("Secure" in reply.headers["set-cookie"].split("; ")) is is_secure


def test_a_session_ends_with_its_time_or_its_token() -> None:
    """And with the oldest when there are too many."""
    token = Token("ole", Role.OPERATOR, digest("secret"), NOW)
    sessions = Sessions()
    first = sessions.begin(token, NOW)
    assert sessions.find(first, [token], NOW + LONGEST_S - 1) == token
    assert sessions.find(first, [], NOW) is None
    assert sessions.find("other", [token], NOW) is None
    for _ in range(MOST):
        sessions.begin(token, NOW)
    assert sessions.find(first, [token], NOW) is None
    last = sessions.begin(token, NOW)
    assert sessions.find(last, [token], NOW + LONGEST_S) is None
