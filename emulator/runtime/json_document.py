"""Small JSON documents that outlive the daemon: written beside and renamed, so that none is ever
incomplete.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, cast


class Document:
    """One JSON object in a file, readable by its owner only."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.content: dict[str, Any] = self._read()

    def _read(self) -> dict[str, Any]:
        try:
            found: object = json.loads(self._path.read_text())
        except (FileNotFoundError, ValueError):
            return {}
        return cast("dict[str, Any]", found) if isinstance(found, dict) else {}

    def save(self) -> None:
        """Write the content as it is now."""
        write_private(self._path, json.dumps(self.content, indent=1) + "\n")


def write_private(path: Path, text: str) -> None:
    """Replace `path` by `text` atomically, mode 0600."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    draft.replace(path)
