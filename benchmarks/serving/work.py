"""What is asked of every server: real pictures as request bodies, and the checkpoint that ours serves.

`prepare` writes everything to runs/serving/: bodies.txt (base64 PNGs), batch.npy, encode.onnx,
generate.onnx, and the checkpoints `bench-encoder` and `bench-generator`.
"""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from benchmarks.serving.networks import CLASSES, LATENT_DIM, NOISE_DIM, networks
from service import checkpoint
from training.data import read_idx
from training.export import ExportedGraph, export

FOLDER = Path("runs/serving")
CHECKPOINTS = FOLDER / "checkpoints"
PICTURES = Path("tests/data/fashion-mnist/t10k-images-idx3-ubyte")
BODIES = 64
BULK = 256


def prepare() -> None:
    """Write what the servers need and the load generator sends, unless it is there."""
    if (CHECKPOINTS / "bench-generator" / "1").is_dir():
        return
    FOLDER.mkdir(parents=True, exist_ok=True)
    pictures = read_idx(PICTURES)[:BULK]
    np.save(FOLDER / "batch.npy", pictures)
    (FOLDER / "bodies.txt").write_text("".join(f"{png_text(one)}\n" for one in pictures[:BODIES]))
    encoder, generator = networks()
    images = torch.from_numpy(pictures[:64, None]).float() / 255
    noise = torch.randn(64, NOISE_DIM, generator=torch.Generator().manual_seed(0))
    graphs = {
        "encode": export(encoder, {"images": images}, ("latents",)),
        "generate": export(generator, {"latents": noise, "labels": torch.arange(64) % CLASSES}, ("images",)),
    }
    for name, graph in graphs.items():
        (FOLDER / f"{name}.onnx").write_bytes(graph.model)
    _package("bench-encoder", "encode", graphs["encode"], LATENT_DIM)
    _package("bench-generator", "generate", graphs["generate"], NOISE_DIM)


def png_text(pixels: NDArray[np.uint8]) -> str:
    """Return one picture as base64 of a PNG."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "png")
    return base64.b64encode(file.getvalue()).decode()


def _package(name: str, operation: str, graph: ExportedGraph, latent_dim: int) -> None:
    """Write a checkpoint of one operation."""
    inputs, outputs = graph.golden
    arrays = {f"{operation}.in.{key}": value for key, value in inputs.items()}
    arrays |= {f"{operation}.out.{key}": value for key, value in outputs.items()}
    golden = io.BytesIO()
    np.savez_compressed(golden, **arrays)  # type: ignore[arg-type]
    labelled = "labels" in inputs
    description: dict[str, Any] = {
        "schema": 1,
        "name": name,
        "version": 1,
        "family": "benchmark",
        "title": "An untrained network",
        "licence": "MIT",
        "image": {"channels": 1, "height": 28, "width": 28},
        "latent": {"shape": [latent_dim]},
        "classes": [str(label) for label in range(CLASSES)] if labelled else None,
        "domains": None,
        "operations": {
            operation: {
                "graph": f"{operation}.onnx",
                "inputs": [_tensor(key, value) for key, value in inputs.items()],
                "outputs": [_tensor(key, value) for key, value in outputs.items()],
                "preferred_batch": graph.batch,
            }
        },
        "default_for": [operation],
        "data": {"name": "none", "sha256": "", "split": "", "seed": 0},
        "training": {
            "recipe": "none",
            "config": {},
            "seed": 0,
            "steps": 0,
            "images_seen": 0,
            "seconds": 0,
            "device": "cpu",
            "libraries": {},
            "commit": None,
        },
        "metrics": {},
        "parity": {operation: graph.parity},
        "golden": {},
    }
    files = {f"{operation}.onnx": graph.model, "golden.npz": golden.getvalue()}
    checkpoint.write(CHECKPOINTS, description, files)


def _tensor(name: str, value: NDArray[Any]) -> dict[str, Any]:
    return {"name": name, "dtype": str(value.dtype), "shape": list(value.shape[1:])}
