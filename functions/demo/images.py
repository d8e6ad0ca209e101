"""What the offline agent says of images: how many it was given, of which type and size, or from which host.

Pure: it loads nothing.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from functions.api import Image
from functions.openai.image_parts import host, media_type, size

# More are counted.
MOST: Final = 10
_ABOUT: Final = re.compile(r"\b(?:images?|pictures?|photos?|screenshots?)\b", re.IGNORECASE)


def about_images(clause: str) -> bool:
    """Whether an instruction speaks of images."""
    return _ABOUT.search(clause) is not None


def described(images: Sequence[Image]) -> str:
    """A sentence about images, of which there is at least one."""
    parts = [_described(image) for image in images[:MOST]]
    if len(images) > MOST:
        parts.append(f"and {len(images) - MOST} more")
    count = "1 image" if len(images) == 1 else f"{len(images)} images"
    return f"You sent {count}: {', '.join(parts)}. Without a model I do not see what {_they(images)}."


def _described(image: Image) -> str:
    kind = media_type(image)
    return f"{kind} of {size(image)} bytes" if kind else f"one at {host(image)}, not loaded"


def _they(images: Sequence[Image]) -> str:
    return "it shows" if len(images) == 1 else "they show"
