"""The documents of docs/permissions: one for each cloud, and Azure's condition; README.md there says how to
use them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from infra.permissions import aws, azure, gcp

FOLDER = Path("docs") / "permissions"


def documents() -> Mapping[Path, str]:
    """Their texts by path in the checkout."""
    return {
        FOLDER / "aws.json": _json(aws.policy()),
        FOLDER / "azure.json": _json(azure.role()),
        FOLDER / "azure-condition.txt": azure.may_assign(),
        FOLDER / "gcp.json": _json(gcp.role()),
    }


def _json(value: object) -> str:
    return json.dumps(value, indent=2) + "\n"
