"""From a trained recipe to a checkpoint: ONNX graphs, manifest, model card, and the hub's layout."""
