"""A quick `pip list` for Pulumi's language host, which asks for it before each run of a program.

The host looks for the plugins that installed packages need (pulumi/sdk/v3,
python/cmd/pulumi-language-python/main.go, determinePulumiPackages), and pip takes 0.4 s of CPU to list them.
The engine attaches the providers of these tests by PULUMI_DEBUG_PROVIDERS and needs no plugin. The tests of
bad days run with the real pip.
"""

from __future__ import annotations

from pathlib import Path

FOLDER = ".plugin-list"


def quick_pip(root: Path) -> str:
    """A folder for the import path, made in `root`, whose `pip` lists no package."""
    folder = root / FOLDER
    folder.mkdir(exist_ok=True)
    (folder / "pip.py").write_text('print("[]")\n')
    return str(folder)
