"""mosec: WORKERS processes per route behind its Rust front, batches of up to 32 within 1 ms.

python -m benchmarks.serving.peers.mosec_server --address 127.0.0.1 --port 8130
"""

import os
from typing import Any

import numpy as np
from mosec import Runtime, Server, Worker

from benchmarks.serving.peers.models import load, noise, read, read_array, write


class Encode(Worker):
    def __init__(self) -> None:
        self.models = load()

    def forward(self, data: list[dict[str, Any]]) -> list[dict[str, Any]]:
        latents = self.models.encode(np.stack([read(one["image"]) for one in data]))
        return [{"latent": row} for row in latents.tolist()]


class Generate(Worker):
    def __init__(self) -> None:
        self.models = load()

    def forward(self, data: list[dict[str, Any]]) -> list[dict[str, Any]]:
        images = self.models.generate(noise([one["seed"] for one in data]), [one["label"] for one in data])
        return [{"image": write(image)} for image in images]


class EncodeBatch(Worker):
    def __init__(self) -> None:
        self.models = load()

    def deserialize(self, data: bytes) -> np.ndarray:
        return read_array(data)

    def forward(self, data: np.ndarray) -> dict[str, Any]:
        return {"latents": self.models.encode(data).tolist()}


class GenerateBatch(Worker):
    def __init__(self) -> None:
        self.models = load()

    def forward(self, data: dict[str, Any]) -> dict[str, Any]:
        seeds = range(data["seed"], data["seed"] + data["count"])
        images = self.models.generate(noise(seeds), [data["label"]] * data["count"])
        return {"images": [write(image) for image in images]}


if __name__ == "__main__":
    batched = {
        "num": int(os.environ.get("WORKERS", "2")),
        "max_batch_size": 32,
        "max_wait_time": 1,
        "timeout": 60,
    }
    server = Server()
    server.register_runtime(
        {
            "/encode": [Runtime(Encode, **batched)],
            "/generate": [Runtime(Generate, **batched)],
            "/encode_batch": [Runtime(EncodeBatch, timeout=60)],
            "/generate_batch": [Runtime(GenerateBatch, timeout=60)],
        }
    )
    server.run()
