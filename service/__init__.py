"""Serve checkpoints over HTTP: limits -> schema -> image -> tensor -> batcher -> engine -> answer."""
