"""BentoML: one worker, its adaptive batches of up to 64. A batchable route takes lists, here of one.

bentoml serve benchmarks.serving.peers.bentoml_service:Service
"""

import base64
from typing import Any

import bentoml
import numpy as np
from pydantic import BaseModel

from benchmarks.serving.peers.models import load, noise, read, read_array, write


class Draw(BaseModel):
    label: int
    seed: int


batched = {"batchable": True, "max_batch_size": 64, "max_latency_ms": 1000}


@bentoml.service(
    workers=1,
    traffic={"timeout": 60},
    logging={"access": {"enabled": False}},
    metrics={"enabled": False},
)
class Service:
    def __init__(self) -> None:
        self.models = load()

    @bentoml.api(**batched)
    def encode(self, images: list[str]) -> list[list[float]]:
        return self.models.encode(np.stack([read(image) for image in images])).tolist()

    @bentoml.api(**batched)
    def generate(self, draws: list[Draw]) -> list[str]:
        images = self.models.generate(noise([one.seed for one in draws]), [one.label for one in draws])
        return [write(image) for image in images]

    @bentoml.api
    def encode_batch(self, npy: str) -> dict[str, Any]:
        return {"latents": self.models.encode(read_array(base64.b64decode(npy))).tolist()}

    @bentoml.api
    def generate_batch(self, label: int, seed: int, count: int) -> dict[str, Any]:
        images = self.models.generate(noise(range(seed, seed + count)), [label] * count)
        return {"images": [write(image) for image in images]}
