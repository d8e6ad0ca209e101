"""Shorten the Python tracebacks in what Pulumi printed: the frames of the agent stay, all others are counted.

An error of a cloud contains the output of a function that did not start, with the frames of the vendor's
runtime, of Python and of this project. The log has all of them.

The rule of this file: pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from skyfleet.contract import AGENT_FOLDER

_HEADER = re.compile(r"^(?P<indent>\s*)Traceback \(most recent call last\):$")
_FRAME = re.compile(r'^\s+File "(?P<file>[^"]+)", line \d+')
_OWN = re.compile(rf"/({AGENT_FOLDER}/|functions/agent\.py$)")


def without_frames(lines: Iterable[str]) -> list[str]:
    """The lines; of each traceback only the agent's frames and the error at its end, and how much is left
    out."""
    kept: list[str] = []
    indent, own, left_out = -1, False, 0
    for line in lines:
        if (header := _HEADER.match(line)) is not None:
            indent, own, left_out = len(header["indent"]), False, 0
            kept.append(line)
        elif indent >= 0 and len(line) - len(line.lstrip()) > indent:
            if (frame := _FRAME.match(line)) is not None:
                own = _OWN.search(frame["file"]) is not None
            if own:
                kept.append(line)
            else:
                left_out += 1
        else:
            if indent >= 0 and left_out:
                kept.append(f"{' ' * (indent + 2)}... other frames, in the log ({left_out} lines) ...")
            indent = -1
            kept.append(line)
    return kept
