"""Parse an image part of a message: `{"type": "image_url", "image_url": {"url": ..., "detail": ...}}`.

Rules
- An image is a data URL of an image type in base64, or an https URL. The agent does not load it: a model
  does, from where its provider runs. A plain http URL is refused, since it may lead to what only that machine
  reaches, such as a cloud's metadata service.
- Every mistake is a BadRequest whose `param` is the place in the body, as in OpenAI's API:
  "Invalid image URL: 'messages[0].content[1].image_url.url'. Expected a base64-encoded data URL with an image
  MIME type" (github.com/Alibaba-NLP/OmniSearch issue 3).

The forms are those of openai-python, types/chat/chat_completion_content_part_image_param.py.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Mapping
from typing import Final, cast

from functions.api import Image
from functions.errors import BadRequest

DETAILS: Final = ("auto", "low", "high", "original")
# RFC 2397, with the type and the encoding that OpenAI's API demands.
_DATA: Final = re.compile(r"data:(image/[\w.+-]{1,60});base64,", re.IGNORECASE | re.ASCII)
_HTTPS: Final = re.compile(r"https://([^\s/?#]+)[^\s]*", re.IGNORECASE | re.ASCII)
# Of a URL in a message.
_SHOWN: Final = 40


def image_of(where: str, part: Mapping[str, object]) -> Image:
    """The image of a part at this place. Raises BadRequest."""
    value = part.get("image_url")
    if not isinstance(value, Mapping):
        raise BadRequest(f'{where}.image_url is not {{"url": "..."}}.', f"{where}.image_url")
    fields = cast("Mapping[str, object]", value)
    url, detail = fields.get("url"), fields.get("detail")
    if not isinstance(url, str) or not url:
        raise BadRequest(f"{where}.image_url.url is missing or no text.", f"{where}.image_url.url")
    if mistake := _mistake(url):
        raise BadRequest(
            f"{where}.image_url.url {mistake}; expected data:image/...;base64,... or https://...",
            f"{where}.image_url.url",
        )
    if detail is not None and detail not in DETAILS:
        expected = ", ".join(DETAILS)
        raise BadRequest(
            f"{where}.image_url.detail is {str(detail)[:_SHOWN]!r}, expected one of {expected}.",
            f"{where}.image_url.detail",
        )
    return Image(url, "auto" if detail is None else str(detail))


def media_type(image: Image) -> str | None:
    """The type of an image in a data URL, such as image/png; None for another URL."""
    found = _DATA.match(image.url)
    return found[1].lower() if found else None


def size(image: Image) -> int:
    """The bytes of an image in a data URL; 0 for another URL."""
    found = _DATA.match(image.url)
    if not found:
        return 0
    length = len(image.url) - found.end()
    return length // 4 * 3 - image.url.count("=", found.end())


def host(image: Image) -> str:
    """The host of an https URL."""
    found = _HTTPS.match(image.url)
    return found[1].rpartition("@")[2] if found else ""


def _mistake(url: str) -> str | None:
    """What is wrong with the URL of an image."""
    if url[:5].lower() != "data:":
        return None if _HTTPS.fullmatch(url) else f"is {url[:_SHOWN]!r}"
    found = _DATA.match(url)
    if not found:
        return f"is {url.partition(',')[0][:_SHOWN]!r}, no image in base64"
    try:
        data = binascii.a2b_base64(url[found.end() :], strict_mode=True)
    except ValueError:  # binascii.Error, and characters beyond ASCII
        return "holds no valid base64"
    return None if data else "holds no bytes"
