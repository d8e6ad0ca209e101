"""What a request with an `Idempotency-Key` may be told instead of a reply of the agent.

    FunctionError
    ├── CallerError
    │   └── BadKey        400 bad-idempotency-key
    └── KeyRefusal        with `x-skyfleet-outcome: caller`
        ├── KeyReused         422 idempotency-key-reused
        ├── StillRunning      409 still-running              with Retry-After
        ├── OutcomeUnknown    409 outcome-unknown
        ├── ReplyTooLarge     409 reply-too-large-to-replay
        └── NothingKept       503 store-unavailable          with Retry-After

In none of these cases has this request made the agent run. No message holds the key.
"""

from __future__ import annotations

from typing import ClassVar, Final

from functions.asgi import Header
from functions.errors import CallerError, FunctionError
from functions.idempotency.records import LONGEST_KEY, MOST_BYTES

# Most runs take seconds; a caller that asks again after one learns it as soon as it makes sense.
RETRY_AFTER_S = 1

# Says to a router: this concerns the request of this caller only. A 503 of a store that is down would else
# make it rest the target for all callers, also for those without a key, whom it can serve.
OUTCOME_CALLER: Final[Header] = (b"x-skyfleet-outcome", b"caller")


class BadKey(CallerError):
    """The header is no key."""

    code = "bad-idempotency-key"

    def __init__(self, found: str) -> None:
        super().__init__(
            f"Idempotency-Key is {found}; expected 1 to {LONGEST_KEY} visible ASCII characters, e.g. a UUID."
        )


class KeyRefusal(FunctionError):
    """Nothing runs, for a reason that lies in the request's key."""

    later: ClassVar[bool] = False

    @property
    def headers(self) -> list[Header]:
        waiting: list[Header] = [(b"retry-after", b"%d" % RETRY_AFTER_S)] if self.later else []
        return [OUTCOME_CALLER, *waiting]


class KeyReused(KeyRefusal):
    """The key belongs to another request."""

    status = 422
    code = "idempotency-key-reused"

    def __init__(self) -> None:
        super().__init__(
            "This Idempotency-Key was used for another request (method, path, query or body differ). "
            "Send the first request again, or this one with a key of its own."
        )


class StillRunning(KeyRefusal):
    """The first request of this key has not ended."""

    status = 409
    code = "still-running"
    later = True

    def __init__(self) -> None:
        super().__init__(
            f"The first request with this Idempotency-Key is still running. Ask again in {RETRY_AFTER_S} s."
        )


class OutcomeUnknown(KeyRefusal):
    """The first request of this key began and nobody knows how it ended."""

    status = 409
    code = "outcome-unknown"

    def __init__(self) -> None:
        super().__init__(
            "The first request with this Idempotency-Key began and its end is not known: it broke off, or "
            "its reply could not be kept. It is not run again. Look whether it took effect; use a new key."
        )


class ReplyTooLarge(KeyRefusal):
    """The first request of this key ended well, with a reply that was not kept."""

    status = 409
    code = "reply-too-large-to-replay"

    def __init__(self) -> None:
        super().__init__(
            "The first request with this Idempotency-Key was answered, with a reply of more than "
            f"{MOST_BYTES} bytes, which is not kept. It is not run again."
        )


class NothingKept(KeyRefusal):
    """The bucket does not answer, so nobody could say later that this request ran; it did not run."""

    status = 503
    code = "store-unavailable"
    later = True

    def __init__(self) -> None:
        super().__init__(
            "The store of idempotency keys is not available here, so this request was not run. "
            f"Ask again in {RETRY_AFTER_S} s, or leave Idempotency-Key out if it may run twice."
        )
