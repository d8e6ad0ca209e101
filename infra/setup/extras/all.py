"""`python -m infra.setup extras`: build all tools. Missing ones are named, and are an error in CI."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from infra.setup.errors import SetupError
from infra.setup.extras.adapter import ADAPTER
from infra.setup.extras.azurite import AZURITE
from infra.setup.extras.chromium import CHROMIUM
from infra.setup.extras.fake_gcs import FAKE_GCS
from infra.setup.extras.openai_node import OPENAI_NODE
from infra.setup.extras.tool import Tool
from infra.setup.progress import Console

TOOLS: Sequence[Tool] = (ADAPTER, AZURITE, FAKE_GCS, OPENAI_NODE, CHROMIUM)


def in_ci(environ: Mapping[str, str]) -> bool:
    """Whether this is CI, where no tool may be missing."""
    return environ.get("CI", "").lower() in ("1", "true", "yes")


def ensure_all(environ: Mapping[str, str], console: Console, tools: Sequence[Tool] = TOOLS) -> list[str]:
    """The reasons of missing tools, one line each; empty when all are built."""
    missing: list[str] = []
    for tool in tools:
        try:
            tool.ensure(environ, console)
        except SetupError as error:
            missing.append(f"{tool.name}: {error}")
    for line in missing:
        console.line(f"tests that need it are left out. {line}")
    return missing
