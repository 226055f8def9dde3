"""OpenAI's API, as far as it fits: a prompt is the name of a class, an embedding is the latent of an image.

    messages (what is asked) -> routes under /v1

Other paths under /v1 are unknown; what else a request says is ignored, as that API's servers do.
"""
