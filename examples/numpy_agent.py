# pyright: basic, reportMissingImports=false
"""A function with a compiled package. Add `numpy` to functions/requirements.in and run `make lock`."""

from __future__ import annotations

import numpy as np

from functions.api import AgentRequest, repeatable


@repeatable
def agent(request: AgentRequest) -> dict[str, object]:
    """Mean and deviation of the numbers in the text."""
    values = np.array([float(word) for word in request.input.split()])
    return {"mean": float(values.mean()), "deviation": float(values.std()), "numpy": np.__version__}
