"""A checkpoint that can run: its graphs in ONNX Runtime, and the queue and batches before each."""
