"""What every peer runs: the two networks in torch or, with ENGINE=onnx, in ONNX Runtime, and Pillow's codecs.

    images (base64 PNG) -> read -> encode -> latents
    seeds and labels -> generate -> write -> base64 PNG

Each process computes on one thread.
"""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from PIL import Image

FOLDER = Path(os.environ["BENCH_FOLDER"])
NOISE_DIM = 64


class Models(Protocol):
    """Both networks, ready."""

    def encode(self, pixels: np.ndarray) -> np.ndarray:
        """Return latents (N, 16) of uint8 images (N, 28, 28)."""
        ...

    def generate(self, noise: np.ndarray, labels: Sequence[int]) -> np.ndarray:
        """Return uint8 images (N, 28, 28) of noise (N, 64) and labels."""
        ...


class TorchModels:
    """PyTorch, as its users run it."""

    def __init__(self) -> None:
        import torch

        from benchmarks.serving.networks import networks

        torch.set_num_threads(1)
        self._torch = torch
        self._encoder, self._generator = networks()

    def encode(self, pixels: np.ndarray) -> np.ndarray:
        torch = self._torch
        with torch.inference_mode():
            return self._encoder(torch.tensor(pixels[:, None]).float().div_(255)).numpy()

    def generate(self, noise: np.ndarray, labels: Sequence[int]) -> np.ndarray:
        torch = self._torch
        with torch.inference_mode():
            images = self._generator(torch.from_numpy(noise), torch.tensor(labels))
            return images.mul(255).round_().to(torch.uint8)[:, 0].numpy()


class OnnxModels:
    """ONNX Runtime, as our service runs it."""

    def __init__(self) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        self._encoder, self._generator = (
            onnxruntime.InferenceSession(FOLDER / f"{name}.onnx", options, providers=["CPUExecutionProvider"])
            for name in ("encode", "generate")
        )

    def encode(self, pixels: np.ndarray) -> np.ndarray:
        images = pixels[:, None].astype(np.float32) / np.float32(255)
        return self._encoder.run(None, {"images": images})[0]

    def generate(self, noise: np.ndarray, labels: Sequence[int]) -> np.ndarray:
        inputs = {"latents": noise, "labels": np.array(labels, np.int64)}
        images = self._generator.run(None, inputs)[0]
        return np.rint(images[:, 0] * 255).astype(np.uint8)


def load() -> Models:
    """Return both networks in the engine asked for."""
    return OnnxModels() if os.environ.get("ENGINE") == "onnx" else TorchModels()


def noise(seeds: Sequence[int]) -> np.ndarray:
    """Return one row of normal noise per seed, (N, 64)."""
    rows = [np.random.default_rng(seed).standard_normal(NOISE_DIM, np.float32) for seed in seeds]
    return np.stack(rows)


def read(text: str) -> np.ndarray:
    """Return the pixels of a base64 PNG."""
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(text))).convert("L"))


def write(pixels: np.ndarray) -> str:
    """Return pixels as a base64 PNG."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "png")
    return base64.b64encode(file.getvalue()).decode()


def read_array(body: bytes) -> np.ndarray:
    """Return the images of an .npy body."""
    return np.load(io.BytesIO(body))
