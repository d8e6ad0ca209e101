"""Which tests run in one worker, in order.

- Those of files with the same module's mark `xdist_group`: they share a fleet, or what takes long to make.
- Those of any other file, which share the fixtures of their module.

pytest-xdist 3.8 adds a group's name to an attribute of test items that pytest 9.2 no longer has. So it runs
such tests anywhere and says nothing: each worker then deploys the fleets of all groups.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

MARK = re.compile(r'^pytestmark = .*xdist_group\("([\w-]+)"\)', re.MULTILINE)


@cache
def group(path: Path) -> str | None:
    """The group of a test file."""
    found = MARK.search(path.read_text())
    return found[1] if found else None


class GroupScheduling(LoadScopeScheduling):
    """Sends the tests of a group, or of a file, to one worker."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return group(self.config.rootpath / file) or file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> GroupScheduling | None:
    """With `--dist loadgroup`."""
    return GroupScheduling(config, log) if config.getoption("dist") == "loadgroup" else None
