"""Offline training: data -> recipe -> trainer -> checkpoint."""

import os

# As in service/__init__.py: ONNX Runtime would report to its maker every graph that is tried.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
