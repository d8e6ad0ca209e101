"""The whole page. Pure but for the addresses of its static files."""

from __future__ import annotations

import json
from collections.abc import Mapping

import htpy as h
from htpy import Element, Node
from markupsafe import Markup

from infra.manager.access.tokens import LOCAL
from infra.manager.page import assets, runbook, sections

# No evaluated attributes, no styles that htmx would add; what a viewer has opened stays open in a morph.
HTMX_CONFIG = json.dumps(
    {
        "includeIndicatorCSS": False,
        "history": False,
        "extensions": "sse",
        "morphIgnore": ["data-htmx-powered", "open"],
        "sse": {"reconnectDelay": 500, "reconnectMaxDelay": 3000, "pauseOnBackground": True},
    }
)


def page(stack: str, fragments: Mapping[str, str], *, by: str, operator: bool) -> str:
    """The page. fragments: of fragments.render. by: name of the token. operator: may change the fleet."""
    return str(
        h.html(lang="en", data_build=assets.build(), data_role="operator" if operator else "viewer")[
            _head(stack), _body(stack, fragments, by)
        ]
    )


def _head(stack: str) -> Element:
    return h.head[
        h.meta(charset="utf-8"),
        h.title[f"Skyfleet {stack}"],
        h.meta(name="viewport", content="width=device-width, initial-scale=1"),
        h.meta(name="color-scheme", content="light dark"),
        h.meta(name="htmx-config", content=HTMX_CONFIG),
        h.link(rel="icon", type="image/svg+xml", href=assets.address("icon.svg")),
        h.link(rel="stylesheet", href=assets.address("page.css")),
    ]


def _body(stack: str, fragments: Mapping[str, str], by: str) -> Element:
    def part(name: str) -> Element:
        return h.div(id=name)[Markup(fragments[name])]  # noqa: S704  rendered by htpy, which escapes

    return h.body[
        h.a(".skip", href="#targets")["Skip to the targets"],
        h.header[
            h.p(".brand")["Skyfleet ", h.span(".stack")[stack]],
            h.h1(".hidden")[f"Fleet {stack}"],
            part("verdict"),
            part("activity"),
        ],
        h.div("#lost", hidden=True)[
            h.p("#lost-text", role="alert"),
            h.p("#lost-age", aria_hidden="true"),
        ],
        h.p("#notice", role="status"),
        h.main[
            _stream(),
            part("problems"),
            _section("picture-title", "Traffic", part("picture"), part("age"), part("figures")),
            h.section(aria_labelledby="targets-title")[
                h.div(".section-head")[h.h2("#targets-title")["Targets"], sections.add_button()],
                part("targets"),
            ],
            _section("jobs-title", "Jobs", part("jobs")),
            _section("charts-title", "The last hour", part("charts")),
            _section("routers-title", "Routers and checkers", part("routers")),
        ],
        h.footer[
            runbook.section(),
            h.p["All times are UTC."],
            None if by == LOCAL else _logout(by),
        ],
        _dialog(),
        # Here, and not deferred: htmx looks at the page once all of them are there.
        [h.script(src=assets.address(name)) for name in ("htmx.js", "sse.js", "page.js")],
    ]


def _stream() -> Element:
    """The element that holds the stream of changes; it shows nothing itself."""
    return h.div(
        "#stream",
        {"hx-sse:connect": "/events", "hx-swap": "none", "hx-trigger": "load, connect"},
        hidden=True,
    )


def _section(name: str, title: str, *content: Node) -> Element:
    return h.section(aria_labelledby=name)[h.h2(id=name)[title], content]


def _logout(by: str) -> Element:
    return h.form(".buttons", method="post", action="/logout")[
        h.span[f"Logged in with the token {by}."], h.button["Log out"]
    ]


def _dialog() -> Element:
    return h.dialog("#dialog", aria_labelledby="dialog-title")[h.div("#dialog-body")]
