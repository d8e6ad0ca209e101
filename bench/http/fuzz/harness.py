"""The process of `make fuzz`, in an environment with atheris.

python -m bench.http.fuzz.harness TARGET [options of libFuzzer]
"""

from __future__ import annotations

import importlib
import sys
from typing import Any


def main(name: str, options: list[str]) -> None:
    """Fuzz one target until libFuzzer's limits. Its options: llvm.org/docs/LibFuzzer.html."""
    atheris: Any = importlib.import_module("atheris")
    with atheris.instrument_imports(include=["skyfleet.http1", "router.net"]):
        targets = importlib.import_module("bench.http.fuzz.targets")
    atheris.Setup([sys.argv[0], *options], targets.TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
