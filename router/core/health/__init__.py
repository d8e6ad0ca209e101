"""The health of each target: the table, outlier detection, and the snapshots of the checkers."""
