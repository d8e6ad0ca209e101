"""Says in one line why a text is not YAML. Pure."""

from __future__ import annotations

import yaml


def yaml_mistake(error: yaml.YAMLError) -> str:
    """Line, column and problem where PyYAML has them, otherwise the first line of its message."""
    if isinstance(error, yaml.MarkedYAMLError) and error.problem and error.problem_mark:
        mark = error.problem_mark
        return f"line {mark.line + 1}, column {mark.column + 1}: {error.problem}"
    return str(error).splitlines()[0]
