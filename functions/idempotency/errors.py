"""Error responses to a request with an `Idempotency-Key`.

    FunctionError
    ├── CallerError
    │   └── BadKey            400 bad-idempotency-key
    └── KeyRefusal            with `x-skyfleet-outcome: caller`
        ├── KeyReused         422 idempotency-key-reused
        ├── StillRunning      409 still-running              with Retry-After
        ├── OutcomeUnknown    409 outcome-unknown
        ├── ReplyTooLarge     409 reply-too-large-to-replay
        └── StoreUnavailable  503 store-unavailable          with Retry-After

In none of these cases has this request started the agent. No message contains the key.
"""

from __future__ import annotations

from typing import ClassVar, Final

from functions.errors import CallerError, FunctionError
from functions.idempotency.records import MOST_BYTES
from skyfleet.asgi import Header
from skyfleet.idempotency_key import LONGEST_KEY

# Most runs take seconds.
RETRY_AFTER_S: Final = 1
# The status concerns this request only. Without it a router would take a 503 of the store for one of the
# whole target, and send no request there for a while.
OUTCOME_CALLER: Final[Header] = (b"x-skyfleet-outcome", b"caller")


class BadKey(CallerError):
    """The header has no valid key. found: what it has instead."""

    code = "bad-idempotency-key"

    def __init__(self, found: str) -> None:
        super().__init__(
            f"Idempotency-Key is {found}; expected 1 to {LONGEST_KEY} visible ASCII characters, e.g. a UUID."
        )


class KeyRefusal(FunctionError):
    """The agent was not started because of the request's key. later: whether a repeat can succeed soon."""

    later: ClassVar[bool] = False

    @property
    def headers(self) -> list[Header]:
        if not self.later:
            return [OUTCOME_CALLER, (b"x-should-retry", b"false")]
        return [OUTCOME_CALLER, (b"retry-after", b"%d" % RETRY_AFTER_S), (b"x-should-retry", b"true")]


class KeyReused(KeyRefusal):
    """The key was used for a different request."""

    status = 422
    code = "idempotency-key-reused"

    def __init__(self) -> None:
        super().__init__(
            "This Idempotency-Key was used for another request (method, path, query or body differ). "
            "Send the first request again, or this one with a key of its own."
        )


class StillRunning(KeyRefusal):
    """The first request with the key is still running."""

    status = 409
    code = "still-running"
    later = True

    def __init__(self) -> None:
        super().__init__(
            f"The first request with this Idempotency-Key is still running. Ask again in {RETRY_AFTER_S} s."
        )


class OutcomeUnknown(KeyRefusal):
    """The first request with the key was started, and its outcome is unknown."""

    status = 409
    code = "outcome-unknown"

    def __init__(self) -> None:
        super().__init__(
            "The outcome of the first request with this Idempotency-Key is unknown: its reply broke off or "
            "could not be stored. It is not run again. Check whether it took effect, then use a new key."
        )


class ReplyTooLarge(KeyRefusal):
    """The first request with the key succeeded, and its reply was too large to be stored."""

    status = 409
    code = "reply-too-large-to-replay"

    def __init__(self) -> None:
        super().__init__(
            "The first request with this Idempotency-Key was answered, with a reply of more than "
            f"{MOST_BYTES} bytes, which is not stored. It is not run again."
        )


class StoreUnavailable(KeyRefusal):
    """The bucket does not answer, so the request cannot be recorded; the agent was not started."""

    status = 503
    code = "store-unavailable"
    later = True

    def __init__(self) -> None:
        super().__init__(
            "The store of idempotency keys is not available here, so this request was not run. "
            f"Ask again in {RETRY_AFTER_S} s, or leave Idempotency-Key out if it may run twice."
        )
