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


# What a management API says on a bad day (infra/partial.py: the other clouds are deployed all the same).
BUSY = re.compile(
    r"\b(408|429|50[0-4])\b|throttl|too ?many ?requests|service ?unavailable|internal ?(server )?error"
    r"|bad ?gateway|timed out|timeout|connection (refused|reset)|no such host",
    re.IGNORECASE,
)


class CloudError(Exception):
    """A cloud, or its provider, did not answer; the text is its own."""

    @property
    def busy(self) -> bool:
        """Whether the cloud has a bad day, which says nothing of the account."""
        said = str(self)
        return BUSY.search(said) is not None and "credential" not in said.lower()


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


def unavailable(where: str, refused: CloudError) -> Finding:
    """A cloud that does not answer now stops no deployment: the others are deployed all the same."""
    return Finding(
        where,
        f"it does not answer now: {refused}",
        "Its part of a deployment would fail, the others would not: run it again later",
        stops=False,
    )


def words(message: str) -> str:
    """A provider's message for one line: without the engine's words before it."""
    text = re.sub(
        r"^(invoke of \S+ failed: |invocation of \S+ returned an error: )+", "", " ".join(message.split())
    )
    text = re.sub(r"^\d+ errors? occurred: \* ", "", text).rstrip(". ")
    return text if len(text) <= WORDS else f"{text[:WORDS].rsplit(' ', 1)[0]} ..."


def _one_line(text: str) -> str:
    return " ".join(text.split())
