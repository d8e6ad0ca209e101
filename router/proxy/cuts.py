"""A reply that broke off after it was passed on: one line in the log, and a connection that ends too early.

The application returns without the end of its reply. uvicorn, which is in every cloud what listens, then
closes the connection, so that no caller takes the reply for whole. An exception would do the same and leave
a long traceback, or two where a framework in between tries to answer with a 500.
"""

from __future__ import annotations

import logging
from contextvars import ContextVar
from typing import Final

LOG: Final = logging.getLogger("skyfleet.router")
# What uvicorn says of such a reply, without a name of anything.
_ITS_WORDS: Final = "ASGI callable returned without completing response."
# In the context of one request, which uvicorn's line about it shares.
_told: Final = ContextVar("told", default=False)


def tell(request_id: bytes, why: str) -> None:
    """Say what broke off, in one line."""
    LOG.warning("%s %s The caller sees it cut.", request_id.decode("latin-1"), " ".join(why.split()))
    _told.set(True)


def quieten_server() -> None:
    """Leave out uvicorn's line where ours was written; any other of its lines stays."""
    logging.getLogger("uvicorn.error").addFilter(_is_news)


def _is_news(record: logging.LogRecord) -> bool:
    return record.msg != _ITS_WORDS or not _told.get()
