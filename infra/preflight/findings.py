"""What a preflight finds: one line each, with the command that mends it.

The rule of this file: pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Self

# A provider's message may be a page long; its first sentences say what happened.
WORDS = 240


class Refused(Exception):
    """A cloud, or its provider, did not answer; the text is its own."""


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
        return _one_line(f"{self.where}: {self.what}. {self.remedy}.")


@dataclass(frozen=True, slots=True)
class Report:
    """What is known of the clouds. accounts: which account, subscription or project, by cloud."""

    accounts: Mapping[str, str]
    findings: tuple[Finding, ...] = ()

    @property
    def stops(self) -> tuple[str, ...]:
        return tuple(finding.line for finding in self.findings if finding.stops)

    @property
    def notes(self) -> tuple[str, ...]:
        return tuple(finding.line for finding in self.findings if not finding.stops)

    @property
    def facts(self) -> dict[str, object]:
        """As JSON."""
        return {"accounts": dict(self.accounts), "stops": list(self.stops), "notes": list(self.notes)}

    @classmethod
    def of(cls, reports: Iterable[Self]) -> Report:
        """All of them in one."""
        accounts: dict[str, str] = {}
        findings: list[Finding] = []
        for report in reports:
            accounts |= report.accounts
            findings += report.findings
        return cls(accounts, tuple(findings))


def words(message: str) -> str:
    """A provider's message for one line: without the engine's words before it."""
    text = re.sub(
        r"^(invoke of \S+ failed: |invocation of \S+ returned an error: )+", "", " ".join(message.split())
    )
    text = re.sub(r"^\d+ errors? occurred: \* ", "", text).rstrip(". ")
    return text if len(text) <= WORDS else f"{text[:WORDS].rsplit(' ', 1)[0]} ..."


def _one_line(text: str) -> str:
    return " ".join(text.split())
