from typing import Any

class ClientError(Exception):
    response: Any
