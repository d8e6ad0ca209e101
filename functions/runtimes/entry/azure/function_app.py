"""The file that Azure Functions looks for; everything is in functions/runtimes/azure.py."""

from functions.runtimes.azure import app

__all__ = ["app"]
