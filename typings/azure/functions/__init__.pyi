"""What functions/runtimes/azure.py uses of azure-functions, which is no dependency of the project itself."""

from collections.abc import Awaitable, Callable
from enum import Enum
from typing import TypeVar

Handler = TypeVar("Handler", bound=Callable[..., Awaitable[object]])

class AuthLevel(Enum):
    ANONYMOUS = "anonymous"

class TimerRequest:
    @property
    def past_due(self) -> bool: ...

class FunctionApp:
    def __init__(self, http_auth_level: AuthLevel = ...) -> None: ...
    def route(self, route: str) -> Callable[[Handler], Handler]: ...
    def timer_trigger(self, arg_name: str, schedule: str) -> Callable[[Handler], Handler]: ...
