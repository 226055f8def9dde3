"""Serve checkpoints over HTTP: limits -> schema -> image -> tensor -> batcher -> engine -> answer."""

import os

# ONNX Runtime's Linux builds tell their maker about every session. This is looked at when it is imported.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
