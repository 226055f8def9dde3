"""Ray Serve: one replica, batches of up to 32 within 2 ms.

python -m benchmarks.serving.peers.ray_server
"""

from typing import Any

import numpy as np
from ray import serve
from starlette.requests import Request

from benchmarks.serving.peers.models import load, noise, read, read_array, write
from benchmarks.serving.peers.ray_process import serve_until_told

batched = {"max_batch_size": 32, "batch_wait_timeout_s": 0.002}


@serve.deployment(num_replicas=1, max_ongoing_requests=512, ray_actor_options={"num_cpus": 0.5})
class Service:
    def __init__(self) -> None:
        self.models = load()

    @serve.batch(**batched)
    async def encode(self, bodies: list[dict[str, Any]]) -> list[dict[str, Any]]:
        latents = self.models.encode(np.stack([read(body["image"]) for body in bodies]))
        return [{"latent": row} for row in latents.tolist()]

    @serve.batch(**batched)
    async def generate(self, bodies: list[dict[str, Any]]) -> list[dict[str, Any]]:
        images = self.models.generate(
            noise([body["seed"] for body in bodies]), [body["label"] for body in bodies]
        )
        return [{"image": write(image)} for image in images]

    async def __call__(self, request: Request) -> dict[str, Any]:
        path = request.url.path
        if path == "/encode":
            return await self.encode(await request.json())
        if path == "/generate":
            return await self.generate(await request.json())
        if path == "/encode_batch":
            return {"latents": self.models.encode(read_array(await request.body())).tolist()}
        body = await request.json()
        seeds = range(body["seed"], body["seed"] + body["count"])
        images = self.models.generate(noise(seeds), [body["label"]] * body["count"])
        return {"images": [write(image) for image in images]}


if __name__ == "__main__":
    serve_until_told(Service.bind())
