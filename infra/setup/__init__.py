"""Set-up of a checkout: the virtual environment, the locks and the Pulumi CLI.

The rule of this package: standard library only, Python 3.11 or newer. It runs before anything is installed.
"""
