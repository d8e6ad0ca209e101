"""What tests of several rooms need."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from infra.setup.progress import Console
from infra.setup.pulumi.choose import ensure_pulumi

CHECKOUT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def pulumi_path() -> str:
    """Folders to put first on PATH so that `pulumi` is one that serves, with its Python language host."""
    found = ensure_pulumi(CHECKOUT, os.environ, Console(sys.stderr))
    return os.pathsep.join(str(folder) for folder in found.path)
