"""Small wheels in a folder: an index for uv without a network."""

from __future__ import annotations

import zipfile
from pathlib import Path


def wheel(folder: Path, name: str, version: str, tag: str, text: str = "") -> Path:
    """Write a wheel with one module of the package's name, with this text."""
    folder.mkdir(parents=True, exist_ok=True)
    path, info = folder / f"{name}-{version}-{tag}.whl", f"{name}-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name}.py", text)
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        archive.writestr(
            f"{info}/WHEEL", f"Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: {tag}\n"
        )
        archive.writestr(f"{info}/RECORD", "")
    return path


def offline(folder: Path) -> dict[str, str]:
    """Variables with which uv knows the wheels of the folder alone."""
    return {"UV_OFFLINE": "1", "UV_FIND_LINKS": str(folder), "UV_NO_PROGRESS": "1"}
