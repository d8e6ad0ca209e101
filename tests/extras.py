"""Tools that tests need beside Python packages: there, or the test says what is missing; in CI it fails."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from infra.setup.extras.all import in_ci
from infra.setup.extras.tool import Tool


def program(tool: Tool) -> Path:
    """The program of `tool`, made before by `make test`; without it the test is left out, and fails in CI."""
    found = tool.cached(os.environ)
    if found is not None:
        return found
    reason = f"{tool.name} {tool.identity} is not in the cache of this user; `make test` makes it or says why"
    if in_ci(os.environ):
        pytest.fail(reason)
    pytest.skip(reason)
