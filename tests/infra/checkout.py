"""A small checkout to build packages from: the real sources with empty locks, so nothing is installed."""

from __future__ import annotations

import shutil
from pathlib import Path

from infra.config.model import CLOUDS, Cloud, Settings
from infra.config.parse import parse_settings
from infra.package import KINDS
from infra.packaging import FOLDER, ROOT, Packages, build_all

PLACES: dict[Cloud, dict[str, object]] = {
    "aws": {"regions": ["eu-west-1"]},
    "azure": {"regions": ["westeurope"]},
    "gcp": {"regions": ["europe-west1"], "project": "test-project"},
}


class Checkout:
    """A folder with the inputs of a build, a cache next to it, and the printed lines in `said`.

    clouds: that the stack names; a build for one of them takes a third of the time. cache: one for several.
    """

    def __init__(self, folder: Path, clouds: tuple[Cloud, ...] = CLOUDS, cache: Path | None = None) -> None:
        self.clouds = clouds
        self.root = folder / "checkout"
        self.cache = cache or folder / "cache"
        self.said: list[str] = []
        for package in ("skyfleet", "functions", "router"):
            shutil.copytree(
                ROOT / package, self.root / package, ignore=shutil.ignore_patterns("__pycache__", "*.in")
            )
        for name in ("functions/requirements.in", "router/requirements.in"):
            self.write(name, "# nothing\n")
        (self.root / "locks").mkdir()
        for cloud in CLOUDS:
            self.write(f"functions/runtimes/{cloud}.in", "")
            for kind in KINDS:
                self.write(f"locks/{kind}-{cloud}.txt", f"# pins nothing, for {kind} on {cloud}\n")

    @property
    def packages(self) -> Path:
        return self.root / FOLDER

    @property
    def environ(self) -> dict[str, str]:
        return {"PATH": "/usr/bin:/bin", "HOME": str(self.cache), "SKYFLEET_CACHE": str(self.cache)}

    def write(self, name: str, text: str) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def build(self, **config: object) -> Packages:
        return build_all(self.settings(**config), self.said.append, root=self.root, environ=self.environ)

    def settings(self, **config: object) -> Settings:
        given: dict[str, object] = {"clouds": {cloud: PLACES[cloud] for cloud in self.clouds}, **config}
        return parse_settings({f"skyfleet:{key}": value for key, value in given.items()}, "test")
