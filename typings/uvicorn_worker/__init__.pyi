"""What functions/runtimes/gcp.py uses of uvicorn-worker, which comes with functions-framework."""

from typing import Any

class UvicornWorker:
    CONFIG_KWARGS: dict[str, Any]
