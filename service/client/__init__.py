"""A client in Python: images in as paths, Pillow images or arrays; arrays or Pillow images out.

    from service.client import Client

    with Client("http://127.0.0.1:8000") as client:
        latents = client.encode(["boot.png", "bag.png"]).latents

`AsyncClient` has the same methods to await. Neither imports anything of the server.
"""

from service.client.clients import AsyncClient, Client
from service.client.problems import ServiceProblem

__all__ = ["AsyncClient", "Client", "ServiceProblem"]
