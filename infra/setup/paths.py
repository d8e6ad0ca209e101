"""The folder of the checkout, and the cache of the user."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def cache_folder(environ: Mapping[str, str]) -> Path:
    """`SKYFLEET_CACHE`, else `XDG_CACHE_HOME/skyfleet`, else `~/.cache/skyfleet`."""
    if own := environ.get("SKYFLEET_CACHE"):
        return Path(own).expanduser().absolute()
    if shared := environ.get("XDG_CACHE_HOME"):
        return Path(shared).expanduser().absolute() / "skyfleet"
    home = environ.get("HOME")
    return (Path(home) if home else Path.home()) / ".cache" / "skyfleet"
