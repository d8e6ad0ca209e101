"""Agents as people write them, one a file. README.md says how to deploy one."""
