"""What a stack's config says of Azure alone: `skyfleet:azure`.

Rule of this file: reading and checking only, as in settings.py; what a value does stands in Azure's files.
"""

from __future__ import annotations

from infra.config.validation import Mistakes

EXAMPLE = "{purgeProtection: true}"


def purge_protection(mistakes: Mistakes, value: object) -> bool:
    """Whether deleted vaults cannot be purged before their seven days are over; never to be taken back."""
    key = "skyfleet:azure"
    azure = mistakes.mapping(key, value, EXAMPLE)
    mistakes.known_keys(key, azure, ("purgeProtection",), EXAMPLE)
    return mistakes.flag(f"{key}.purgeProtection", azure.get("purgeProtection"), default=False)
