"""Names and labels of resources: pure functions of their arguments, within each cloud's limits."""

from __future__ import annotations

import hashlib
import re

STACK_LABEL = "skyfleet-stack"
ROLE_LABEL = "skyfleet-role"


def slug(text: str) -> str:
    """Lower-case letters, digits and single dashes, starting with a letter: the character set that every
    cloud allows.
    """
    cleaned = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    return cleaned if cleaned[:1].isalpha() else f"s-{cleaned}".rstrip("-")


def fit(text: str, limit: int) -> str:
    """`text` if it has at most `limit` characters, else its start and six hex digits of its SHA-256, so that
    different texts stay different.
    """
    if len(text) <= limit:
        return text
    digest = hashlib.sha256(text.encode()).hexdigest()[:6]
    return f"{text[: limit - 7].rstrip('-')}-{digest}"


def stack_prefix(name: str, stack: str) -> str:
    """Start of all names of one stack, at most 24 characters."""
    return fit(slug(f"{name}-{stack}"), 24)


def regional_name(prefix: str, role: str, region: str, limit: int) -> str:
    """For resources that are unique per account but not per region: IAM roles, service accounts, resource
    groups.
    """
    return fit(f"{prefix}-{role}-{slug(region)}", limit)


def unique_name(base: str, suffix: str, limit: int, *, dashes: bool = True) -> str:
    """`base` and a random suffix within `limit`; without dashes for storage accounts, which allow none."""
    if dashes:
        return f"{fit(slug(base), limit - len(suffix) - 1)}-{suffix}"
    return fit(slug(base), limit - len(suffix)).replace("-", "") + suffix


def labels(stack: str, role: str) -> dict[str, str]:
    """Tags and labels of every resource. Google's label values are the strictest: 63 lower-case letters,
    digits, dashes and underscores.
    """
    return {STACK_LABEL: fit(slug(stack), 63), ROLE_LABEL: role}
