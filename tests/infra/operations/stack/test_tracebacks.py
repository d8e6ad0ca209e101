"""Tests of tracebacks.py: of a traceback the agent's frames and the error are shown."""

from __future__ import annotations

from infra.operations.stack.tracebacks import without_frames

PRINTED = """
  azure-native:resources:Deployment (azure-westeurope-agent-package):
    error: DeploymentFailed: it exited with status 1; its output:
    Traceback (most recent call last):
      File "/wwwroot/.python_packages/lib/site-packages/azure_functions_runtime/loader.py", line 166, in index
        imported_module = importlib.import_module(module_name)
                          ~~~~~~~~~~~~~~~~~~~~~~~^^^^^^^^^^^^
      File "<frozen importlib._bootstrap>", line 1387, in _gcd_import
      File "/wwwroot/agent_files/mine.py", line 4, in <module>
        LIMIT = limit()
                ~~~~~^^
      File "/usr/lib/python3.13/json/decoder.py", line 360, in raw_decode
        raise JSONDecodeError
    json.decoder.JSONDecodeError: Expecting value
    Traceback (most recent call last):
      File "/program/infra/__main__.py", line 60, in <module>
    KeyError: 'x'
  pulumi:pulumi:Stack (skyfleet-local):
""".strip("\n").splitlines()


def test_only_the_agents_frames_and_the_error_stay() -> None:
    """Twenty lines of the vendor's and of this project's frames hid the one that the user can mend."""
    assert without_frames(PRINTED) == [
        *PRINTED[:3],
        *PRINTED[7:10],
        "      ... other frames, in the log (6 lines) ...",
        PRINTED[12],
        PRINTED[13],
        "      ... other frames, in the log (1 lines) ...",
        *PRINTED[15:],
    ]


def test_lines_without_a_traceback_are_untouched() -> None:
    """Indentation alone means nothing."""
    lines = ["error: a", "    b", '  File "x", line 1', ""]
    assert without_frames(lines) == lines
