"""LitServe: two API servers, one worker per route, batches of up to 32 within 2 ms.

python -m benchmarks.serving.peers.litserve_server
"""

import base64
import os
from collections.abc import Sequence
from typing import Any

import litserve
import numpy as np

from benchmarks.serving.peers.models import load, noise, read, read_array, write


class Encode(litserve.LitAPI):
    def setup(self, device: str) -> None:
        self.models = load()

    def decode_request(self, request: dict[str, Any]) -> np.ndarray:
        return read(request["image"])

    def batch(self, inputs: Sequence[np.ndarray]) -> np.ndarray:
        return np.stack(inputs)

    def predict(self, x: np.ndarray) -> np.ndarray:
        return self.models.encode(x)

    def unbatch(self, output: np.ndarray) -> list[list[float]]:
        return output.tolist()

    def encode_response(self, output: list[float]) -> dict[str, Any]:
        return {"latent": output}


class Generate(litserve.LitAPI):
    def setup(self, device: str) -> None:
        self.models = load()

    def decode_request(self, request: dict[str, Any]) -> tuple[int, int]:
        return request["label"], request["seed"]

    def batch(self, inputs: Sequence[tuple[int, int]]) -> tuple[np.ndarray, list[int]]:
        return noise([seed for _, seed in inputs]), [label for label, _ in inputs]

    def predict(self, x: tuple[np.ndarray, list[int]]) -> np.ndarray:
        return self.models.generate(*x)

    def unbatch(self, output: np.ndarray) -> list[np.ndarray]:
        return list(output)

    def encode_response(self, output: np.ndarray) -> dict[str, Any]:
        return {"image": write(output)}


class EncodeBatch(litserve.LitAPI):
    def setup(self, device: str) -> None:
        self.models = load()

    def decode_request(self, request: dict[str, Any]) -> np.ndarray:
        return read_array(base64.b64decode(request["npy"]))

    def predict(self, x: np.ndarray) -> np.ndarray:
        return self.models.encode(x)

    def encode_response(self, output: np.ndarray) -> dict[str, Any]:
        return {"latents": output.tolist()}


class GenerateBatch(litserve.LitAPI):
    def setup(self, device: str) -> None:
        self.models = load()

    def decode_request(self, request: dict[str, Any]) -> tuple[np.ndarray, list[int]]:
        seeds = range(request["seed"], request["seed"] + request["count"])
        return noise(seeds), [request["label"]] * request["count"]

    def predict(self, x: tuple[np.ndarray, list[int]]) -> np.ndarray:
        return self.models.generate(*x)

    def encode_response(self, output: np.ndarray) -> dict[str, Any]:
        return {"images": [write(image) for image in output]}


if __name__ == "__main__":
    batched = {"max_batch_size": 32, "batch_timeout": 0.002}
    apis = [
        Encode(api_path="/encode", **batched),
        Generate(api_path="/generate", **batched),
        EncodeBatch(api_path="/encode_batch"),
        GenerateBatch(api_path="/generate_batch"),
    ]
    server = litserve.LitServer(apis, accelerator="cpu", workers_per_device=1, timeout=60)
    server.run(
        host="127.0.0.1",
        port=int(os.environ["PORT"]),
        num_api_servers=2,
        generate_client_file=False,
        log_level="warning",
        access_log=False,
    )
