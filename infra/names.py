"""Names and labels of resources: pure functions of their arguments, within each cloud's limits."""

from __future__ import annotations

import hashlib
import re

STACK_LABEL = "skyfleet-stack"
ROLE_LABEL = "skyfleet-role"


def slug(text: str) -> str:
    """`text` as lower-case letters, digits and single dashes, a letter first: all clouds allow these."""
    cleaned = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    return cleaned if cleaned[:1].isalpha() else f"s-{cleaned}".rstrip("-")


def fit(text: str, limit: int) -> str:
    """`text` with at most `limit` characters: a longer one is cut and gets six hex digits of its SHA-256."""
    if len(text) <= limit:
        return text
    digest = hashlib.sha256(text.encode()).hexdigest()[:6]
    return f"{text[: limit - 7].rstrip('-')}-{digest}"


def stack_prefix(name: str, stack: str) -> str:
    """The start of all names of one stack, at most 24 characters."""
    return fit(slug(f"{name}-{stack}"), 24)


def regional_name(prefix: str, role: str, region: str, limit: int) -> str:
    """A name with its region, for resources that are unique in an account: IAM roles, service accounts."""
    return fit(f"{prefix}-{role}-{slug(region)}", limit)


def unique_name(base: str, suffix: str, limit: int, *, dashes: bool = True) -> str:
    """`base` and a random suffix within `limit`; without dashes for storage accounts, which allow none."""
    if dashes:
        return f"{fit(slug(base), limit - len(suffix) - 1)}-{suffix}"
    return fit(slug(base), limit - len(suffix)).replace("-", "") + suffix


def labels(stack: str, role: str) -> dict[str, str]:
    """Tags and labels of every resource, within Google's limits: 63 lower-case letters, digits, dashes."""
    return {STACK_LABEL: fit(slug(stack), 63), ROLE_LABEL: role}
