"""The corpus of hostile requests and replies, by subject."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from bench.http.cases import HostileReply, HostileRequest
from bench.http.corpus import chunks, fields, framing, limits, lines, replies, targets

REQUESTS: Final[Mapping[str, tuple[HostileRequest, ...]]] = {
    "Content-Length and Transfer-Encoding": framing.CASES,
    "Chunks and trailers": chunks.CASES,
    "Lines, versions, names and values": lines.CASES,
    "Targets and Host": targets.CASES,
    "The router's own fields": fields.CASES,
    "Sizes and pipelines": limits.CASES,
}
REPLIES: Final[tuple[HostileReply, ...]] = replies.CASES
