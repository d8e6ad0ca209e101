"""What a preflight finds: one line each, with the command that mends it.

The rule of this file: pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as the deployment needs it.

    where: a cloud, or `shell`. what: what was found. remedy: what to do, with the command. stops: the
    deployment would fail; else it is only worth knowing.
    """

    where: str
    what: str
    remedy: str
    stops: bool = True

    @property
    def line(self) -> str:
        return " ".join(f"{self.where}: {self.what}. {self.remedy}".split())


def listed(findings: Sequence[Finding]) -> str:
    """All of them, a line each."""
    return "\n".join(f"  - {finding.line}" for finding in findings)
