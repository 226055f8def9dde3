"""Offline training: data -> recipe -> trainer -> checkpoint."""

import os

# As in service/__init__.py: ONNX Runtime would tell its maker about every graph that is tried.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
