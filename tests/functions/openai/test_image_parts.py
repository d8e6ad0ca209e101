"""Tests of image parts: the forms that are read, and the place and words of each mistake."""

from __future__ import annotations

from typing import get_args, get_type_hints

import pytest
from openai.types.chat.chat_completion_content_part_image_param import ImageURL

from functions.api import Image
from functions.errors import BadRequest
from functions.openai.image_parts import DETAILS, host, image_of, media_type, size

pytestmark = pytest.mark.pure

PIXEL = "data:image/png;base64,aW1nIGJ5dGVzIGhlcmU="


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (PIXEL, ("image/png", 14, "")),
        ("DATA:Image/JPEG;BASE64,aW1n", ("image/jpeg", 3, "")),
        ("data:image/svg+xml;base64,aW1nIA==", ("image/svg+xml", 4, "")),
        ("https://example.com/a.png", (None, 0, "example.com")),
        ("HTTPS://user@example.com:8443?x=1#y", (None, 0, "example.com:8443")),
    ],
)
def test_an_image_is_a_data_url_or_an_https_url(url: str, expected: tuple[str | None, int, str]) -> None:
    """Type and size are those of the data; of another URL only the host is known."""
    image = image_of("m", {"type": "image_url", "image_url": {"url": url}})
    assert image == Image(url)
    assert (media_type(image), size(image), host(image)) == expected


def test_the_levels_of_detail_are_those_of_the_official_client() -> None:
    """Each is taken, and null is the default."""
    hints = get_type_hints(ImageURL)
    assert set(DETAILS) == set(get_args(hints["detail"]))
    for detail in DETAILS:
        assert image_of("m", {"image_url": {"url": PIXEL, "detail": detail}}).detail == detail
    assert image_of("m", {"image_url": {"url": PIXEL, "detail": None}}).detail == "auto"


@pytest.mark.parametrize(
    ("value", "param", "words"),
    [
        (None, "", "is not"),
        ("https://example.com/a.png", "", "is not"),
        ({}, ".url", "missing"),
        ({"url": ""}, ".url", "missing"),
        ({"url": 7}, ".url", "missing"),
        ({"url": "http://169.254.169.254/"}, ".url", "is 'http://169.254.169.254/'; expected data:image"),
        ({"url": "file:///etc/passwd"}, ".url", "expected data:image"),
        ({"url": "iVBORw0KGgo="}, ".url", "expected data:image"),
        ({"url": "https://"}, ".url", "expected data:image"),
        ({"url": "https://example.com/a b"}, ".url", "expected data:image"),
        ({"url": "data:text/plain;base64,aW1n"}, ".url", "is 'data:text/plain;base64', no image in base64"),
        ({"url": "data:application/pdf;base64,aW1n"}, ".url", "no image in base64"),
        ({"url": "data:image/svg+xml,<svg/>"}, ".url", "no image in base64"),
        ({"url": "data:image/png;base64,"}, ".url", "holds no bytes"),
        ({"url": "data:image/png;base64,aW1"}, ".url", "no valid base64"),
        ({"url": "data:image/png;base64,a-_n"}, ".url", "no valid base64"),
        ({"url": "data:image/png;base64, aW1n"}, ".url", "no valid base64"),
        ({"url": "data:image/png;base64,\u00e4"}, ".url", "no valid base64"),
        ({"url": PIXEL, "detail": "ultra"}, ".detail", "'ultra', expected one of auto"),
        ({"url": PIXEL, "detail": 1}, ".detail", "expected one of auto"),
    ],
)
def test_a_mistake_has_its_place(value: object, param: str, words: str) -> None:
    """As in OpenAI's API: `messages[0].content[1].image_url.url`."""
    with pytest.raises(BadRequest, match=words) as raised:
        image_of("messages[0].content[1]", {"type": "image_url", "image_url": value})
    assert raised.value.param == f"messages[0].content[1].image_url{param}"
    assert len(str(raised.value)) < 300
