"""The manager as the command line sees it: its process, and a client of its API."""
