"""The Pulumi stack: its config, the Pulumi process, its state and outputs, and the `--stack` option."""
