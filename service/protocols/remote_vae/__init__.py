"""A remote VAE, as `remote_decode` and `remote_encode` of diffusers ask for it.

    messages (query, body) -> tensors (bytes <-> float32) -> routes under /remote-vae/{model}

Tensors are in [-1, 1] there, whatever range the checkpoint has, and in NCHW order.
"""
