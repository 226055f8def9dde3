"""The Open Inference Protocol v2, as KServe and Triton speak it, with the binary tensor extension.

    messages (bytes <-> tensors) -> operations (tensors <-> a model's run) -> routes under /v2

Every operation of a checkpoint is a model of its own there: `fashion-vae.encode`, `bags-boots.translate`.
"""
