"""Tests of the check of the agent: a deploy stops if the agent could not start."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from infra.errors import AgentError
from infra.packaging import agent_check
from tests.infra.checkout import Checkout


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of installed dependencies, which no test changes."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def checkout(tmp_path: Path, cache: Path) -> Checkout:
    """A checkout for one test, of a stack on one cloud."""
    return Checkout(tmp_path, ("gcp",), cache)


@pytest.fixture
def everywhere(tmp_path: Path, cache: Path) -> Checkout:
    """A checkout for a test of what differs between clouds."""
    return Checkout(tmp_path, cache=cache)


BROKEN = {
    "does-not-parse": ("async def agent(request:\n", "agent.py:1: SyntaxError", "was never closed"),
    "does-not-import": (
        "import json\nimport nosuchmodule\n",
        "agent.py:2: ModuleNotFoundError",
        "nosuchmodule",
    ),
    "raises": ("LIMIT = 1\n\nraise ValueError('too low')\n", "agent.py:3: ValueError", "too low"),
    "needs-what-no-cloud-has": ("import os\nos.environ['MY_SHELL']\n", "agent.py:2: KeyError", "MY_SHELL"),
    "exits": ("import sys\nsys.exit(3)\n", "agent.py:2", "SystemExit"),
    "has-no-entry": ("async def agnet(request):\n    return 'x'\n", "agent.py has no 'agent'", "agnet"),
    "not-callable": ("agent = 'me'\n", "is of type str", "async def agent(request)"),
    "no-parameter": (
        "def agent():\n    return 'x'\n",
        "a callable of 0 parameters",
        "Expected `def agent(request)`",
    ),
    "wrong-parameters": ("async def agent(a, b):\n    return 'x'\n", "of 2 parameters", "ASGI application"),
    "crashes": ("import os\nos.write(2, b'going down')\nos._exit(9)\n", "exit code 9", "going down"),
}


@pytest.mark.parametrize(("source", "where", "reason"), BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_agent_is_reported_with_file_line_and_reason(
    checkout: Checkout, source: str, where: str, reason: str
) -> None:
    """No package is built."""
    checkout.write("functions/agent.py", source)
    with pytest.raises(AgentError) as caught:
        checkout.build()
    assert where in str(caught.value)
    assert reason in str(caught.value)
    assert str(checkout.root.parent) not in str(caught.value), "paths are those of the package"
    assert list(checkout.packages.glob("*.zip")) == []


def test_a_syntax_error_in_a_lazily_imported_file_is_found(checkout: Checkout) -> None:
    """All files are parsed before the deploy."""
    checkout.write("functions/late.py", "x = 1\ny = = 2\n")
    with pytest.raises(AgentError, match=r"functions/late\.py:2: SyntaxError"):
        checkout.build()


def test_an_import_that_does_not_end_is_stopped(checkout: Checkout, monkeypatch: pytest.MonkeyPatch) -> None:
    """The clouds limit the time of an import too."""
    checkout.write("functions/agent.py", "import threading\nthreading.Event().wait()\n")
    monkeypatch.setattr(agent_check, "IMPORT_LIMIT_S", 1.0)
    with pytest.raises(AgentError, match="still importing after 1 s"):
        checkout.build()


GOOD = {
    "function": ("async def agent(request):\n    return 'x'\n", False),
    "generator": ("async def agent(request):\n    yield 'x'\n", False),
    "asgi": ("async def agent(scope, receive, send):\n    pass\n", False),
    "repeatable": (
        (
            "from functions.api import repeatable\n\n\n"
            "@repeatable\nasync def agent(request):\n    return 'x'\n"
        ),
        True,
    ),
}


@pytest.mark.parametrize(("source", "repeatable"), GOOD.values(), ids=GOOD.keys())
def test_what_an_agent_declares_reaches_the_packages(
    checkout: Checkout, source: str, repeatable: bool
) -> None:
    """Only requests to a `@repeatable` agent may be sent twice."""
    checkout.write("functions/agent.py", source)
    assert checkout.build().agent.repeatable is repeatable


def test_the_default_agent_is_repeatable(checkout: Checkout) -> None:
    """It has no side effects."""
    assert checkout.build().agent.repeatable is True


def test_the_output_of_an_agent_is_not_read_as_the_result(checkout: Checkout) -> None:
    """The check reads its result from another channel than the agent's output."""
    checkout.write(
        "functions/agent.py",
        'print(\'{"kind": "asgi", "repeatable": true}\')\n\n\nasync def agent(request):\n    return "x"\n',
    )
    assert checkout.build().agent.repeatable is False


def test_an_agent_is_checked_once_per_build_and_entry(checkout: Checkout) -> None:
    """The result is cached by build id, which covers the entry."""
    checkout.write(
        "mine.py", "async def one(request):\n    return ''\n\n\nasync def two(a, b, c):\n    pass\n"
    )
    first = checkout.build(agent="mine:one")
    (remembered,) = checkout.packages.glob("agent-????????????????.json")
    remembered.write_text(
        json.dumps({"kind": "function", "repeatable": True, "clouds": ["aws", "azure", "gcp"]})
    )
    assert checkout.build(agent="mine:one").agent.repeatable is True
    assert first.agent.repeatable is checkout.build(agent="mine:two").agent.repeatable is False


def test_a_damaged_cache_entry_is_checked_again(checkout: Checkout) -> None:
    """A partial file is not a result."""
    checkout.build()
    (remembered,) = checkout.packages.glob("agent-????????????????.json")
    remembered.write_text('{"kind": ')
    assert checkout.build().agent.repeatable is True


def test_a_cloud_that_is_added_is_checked(everywhere: Checkout) -> None:
    """A result is of the clouds that it names."""
    everywhere.build()
    (remembered,) = everywhere.packages.glob("agent-????????????????.json")
    facts = json.loads(remembered.read_text())
    remembered.write_text(json.dumps({**facts, "repeatable": False, "clouds": ["aws", "azure"]}))
    assert everywhere.build().agent.repeatable is True


APP = "async def app(scope, receive, send):\n    pass\n"


def test_an_agent_may_be_named_as_an_entry_file(everywhere: Checkout) -> None:
    """Google's runtime has imported its own `main` by then."""
    everywhere.write(
        "main.py", f"import main\n\nassert main.MINE\n{APP}".replace("import", "MINE = 1\nimport", 1)
    )
    packages = everywhere.build(agent="main:app")
    with zipfile.ZipFile(packages.built["agent", "gcp"].path) as archive:
        assert {"main.py", "agent_files/main.py"} <= set(archive.namelist())


WHERE = """
import os
import sys
from pathlib import Path

assert sys.path[0] == os.getcwd() == str(Path(__file__).parents[1]), (sys.path, os.getcwd())
assert Path("mine/data.txt").read_text() == "x"
"""


def test_the_agents_folder_comes_first_in_each_cloud(everywhere: Checkout) -> None:
    """On the import path and as working folder, as in the everywhere."""
    everywhere.write("mine/data.txt", "x")
    everywhere.write("mine/__init__.py", WHERE + APP)
    everywhere.build(agent="mine:app")


def test_a_file_is_named_as_in_the_checkout(checkout: Checkout) -> None:
    """Its folder in the package is not part of the name."""
    checkout.write("mine/__init__.py", "import nosuchmodule\n" + APP)
    with pytest.raises(AgentError, match=r" mine/__init__\.py:1: ModuleNotFoundError"):
        checkout.build(agent="mine:app")


def test_a_module_beside_the_agent_is_told_to_be_left_behind(checkout: Checkout) -> None:
    """A package has the agent's own module only."""
    checkout.write("helpers.py", "")
    checkout.write("mine.py", "import helpers\n" + APP)
    with pytest.raises(AgentError, match=r"mine\.py:1: ModuleNotFoundError.*helpers is beside mine"):
        checkout.build(agent="mine:app")


def test_a_problem_of_one_cloud_names_it(everywhere: Checkout) -> None:
    """What the others load may be missing in the lock of one."""
    everywhere.write(
        "mine.py",
        f"import sys\n\nassert 'main' not in sys.modules\nassert 'function_app' not in sys.modules\n{APP}",
    )
    with pytest.raises(AgentError, match=r"cannot be deployed on azure; nothing was changed: .*mine\.py:4"):
        everywhere.build(agent="mine:app")
