"""One file per peer: the same two networks behind another server, each in its own best configuration."""
