"""Tests of the line about work that goes on after a reply."""

from __future__ import annotations

import pytest

from infra.packaging.background import told


@pytest.mark.parametrize(
    "line",
    [
        "background.add_task(log) if (background := BackgroundTasks()) else None",
        "async def invoke(tasks: BackgroundTasks) -> dict:",
        "return JSONResponse({}, background=BackgroundTask(log))",
        "asyncio.create_task(log())",
        "loop.create_task(log())",
        "asyncio.get_running_loop().create_task(log())",
        "self._loop.create_task(log())",
        "threading.Timer(1, log).start()",
        "threading.Thread(target=log).start()",
    ],
)
def test_work_after_the_reply_is_named_with_its_line(line: str) -> None:
    """The line says what each cloud of the deployment does with it."""
    files = [("agent_files/my_agent.py", f"import asyncio\n{line}\n".encode())]
    text = told("my_agent:app", files, ("aws", "gcp"))
    assert text.startswith("work that goes on after a reply (my_agent.py:2): AWS freezes it")
    assert "Google takes the CPU" in text
    assert "Azure" not in text


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("agent_files/my_agent.py", "from starlette.background import BackgroundTask\n"),
        ("agent_files/my_agent.py", "# asyncio.create_task(log())\n"),
        ("agent_files/my_agent.py", "async with asyncio.TaskGroup() as group:\n    group.create_task(a())\n"),
        ("agent_files/notes.txt", "asyncio.create_task(log())\n"),
        ("functions/endpoints.py", "asyncio.create_task(log())\n"),
    ],
)
def test_nothing_is_told_of_other_lines_and_files(name: str, source: str) -> None:
    """Imports, comments, groups that are awaited, files that are not the agent's."""
    assert told("my_agent:app", [(name, source.encode())], ("aws", "azure", "gcp")) == ""


def test_a_long_list_is_cut() -> None:
    """Three lines show where to look."""
    source = b"asyncio.create_task(log())\n" * 5
    text = told("a:agent", [("agent_files/a.py", source)], ("azure",))
    assert "(a.py:1, a.py:2, a.py:3 and 2 more): Azure lets it go on" in text


def test_an_agent_inside_of_functions_is_searched_too() -> None:
    """Its module only: the rest of the folder is the project's."""
    files = [(f"functions/{name}.py", b"asyncio.create_task(log())\n") for name in ("agent", "mine")]
    assert "(functions/mine.py:1)" in told("functions.mine:agent", files, ("aws",))
