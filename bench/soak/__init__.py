"""A long run of one router under load and faults, which finds what grows: `make soak`."""
