"""Fields of a reply as the host of Azure Functions passes them on.

It answers 502 to a reply with octets beyond ASCII in a field (dotnet/yarp issue 2478), whatever its agent
did. So these octets are percent-encoded, as in a URL: the reply arrives, and what was there can be read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from skyfleet.asgi import Header, Message, Send

_BEYOND: Final = re.compile(rb"[\x80-\xff]")


def encoded(headers: Iterable[Header]) -> list[Header]:
    """The fields with values in ASCII."""
    return [(name, _encoded(value)) for name, value in headers]


def in_ascii(send: Send) -> Send:
    """The channel to the server, for an application whose fields may have any octet."""

    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": encoded(message.get("headers", ()))}
        await send(message)

    return sent


def _encoded(value: bytes) -> bytes:
    if value.isascii():
        return value
    return _BEYOND.sub(lambda found: b"%%%02X" % found[0][0], value)
