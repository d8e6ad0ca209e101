"""What an attempt tells its owner, the driver of the request (`router.proxy.forward`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from router.core.request.failures import AttemptError
    from router.proxy.attempt import Attempt
    from skyfleet.asgi import Header


class AttemptOwner(Protocol):
    """What hears of an attempt's events."""

    def on_informational(self, attempt: Attempt, status: int, headers: list[Header], /) -> None: ...

    def on_whole(self, attempt: Attempt, now: float, /) -> None: ...

    def on_head(self, attempt: Attempt, /) -> None: ...

    def on_ready(self, attempt: Attempt, now: float, /) -> None: ...

    def on_data(self, attempt: Attempt, data: bytes, /) -> None: ...

    def on_end(self, attempt: Attempt, /) -> None: ...

    def on_error(self, attempt: Attempt, error: AttemptError, why: str, /) -> None: ...

    def on_truncated(self, attempt: Attempt, why: str, /) -> None: ...
