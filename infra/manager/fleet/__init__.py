"""The picture: what routers report, folded into one frozen value."""
