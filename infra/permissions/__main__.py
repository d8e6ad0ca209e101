"""`python -m infra.permissions`: write docs/permissions."""

from __future__ import annotations

from infra.permissions.documents import documents
from infra.setup.paths import ROOT

if __name__ == "__main__":
    for path, text in documents().items():
        (ROOT / path).parent.mkdir(parents=True, exist_ok=True)
        (ROOT / path).write_text(text)
