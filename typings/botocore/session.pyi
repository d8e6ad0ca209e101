from typing import Any

def get_session() -> Any: ...  # noqa: ANN401
