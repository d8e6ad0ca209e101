"""The file that functions-framework looks for; everything is in functions/runtimes/gcp.py."""

from functions.runtimes.gcp import main

__all__ = ["main"]
