"""What must be true before anything is created, asked before the first resource is registered.

aim       is the shell aimed where the stack says (pure)
findings  what is told: one line each, with the command that mends it
"""

from __future__ import annotations

from collections.abc import Mapping

from infra.errors import PreflightError
from infra.preflight.aim import misaimed
from infra.settings import Settings


def need_aim(settings: Settings, environ: Mapping[str, str]) -> None:
    """PreflightError when the shell is aimed elsewhere than the stack says."""
    if found := misaimed(settings.stack, settings.clouds, environ, local=settings.local):
        raise PreflightError([finding.line for finding in found])
