"""The emulated clouds of this checkout: their daemon, its admin API, injected faults and log files."""
