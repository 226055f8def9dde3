"""What is asked of every server: real pixels as request bodies, and the checkpoint that ours serves.

`prepare` writes everything to runs/serving/: bodies.txt (base64 PNGs), batch.npy, encode.onnx,
generate.onnx, and the checkpoints `bench-encoder` and `bench-generator`.
"""

from __future__ import annotations

import base64
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from benchmarks.serving.networks import CLASSES, LATENT_DIM, NOISE_DIM, networks, sized_encoder
from service import checkpoint
from training.data.datasets import read_idx
from training.evaluation.sample_sheets import png_file
from training.packaging.onnx_export import ExportedGraph, export, graph_spec
from training.packaging.package import golden

FOLDER = Path("runs/serving")
CHECKPOINTS = FOLDER / "checkpoints"
IMAGES = Path("tests/data/fashion-mnist/t10k-images-idx3-ubyte")
BODIES = 64
BULK = 256


def prepare() -> None:
    """Write what the servers need and the load generator sends, unless it is there."""
    if (CHECKPOINTS / "bench-generator" / "1").is_dir():
        return
    FOLDER.mkdir(parents=True, exist_ok=True)
    pixels = read_idx(IMAGES)[:BULK]
    np.save(FOLDER / "batch.npy", pixels)
    files = [png_file(Image.fromarray(one)) for one in pixels[:BODIES]]
    (FOLDER / "bodies.txt").write_text("".join(f"{base64.b64encode(file).decode()}\n" for file in files))
    encoder, generator = networks()
    images = torch.from_numpy(pixels[:64, None]).float() / 255
    noise = torch.randn(64, NOISE_DIM, generator=torch.Generator().manual_seed(0))
    graphs = {
        "encode": export(encoder, {"images": images}, ("latents",)),
        "generate": export(generator, {"latents": noise, "labels": torch.arange(64) % CLASSES}, ("images",)),
    }
    for name, graph in graphs.items():
        (FOLDER / f"{name}.onnx").write_bytes(graph.model)
    package(CHECKPOINTS, "bench-encoder", "encode", graphs["encode"], LATENT_DIM)
    package(CHECKPOINTS, "bench-generator", "generate", graphs["generate"], NOISE_DIM)


def package_sized(root: Path, side: int) -> None:
    """Write a checkpoint whose encoder takes images of this side."""
    images = torch.rand(64, 1, side, side, generator=torch.Generator().manual_seed(0))
    graph = export(sized_encoder(), {"images": images}, ("latents",))
    package(root, "bench-encoder", "encode", graph, LATENT_DIM, side)


def package(
    root: Path, name: str, operation: str, graph: ExportedGraph, latent_dim: int, side: int = 28
) -> None:
    """Write a checkpoint of one operation."""
    description: dict[str, Any] = {
        "schema": 1,
        "name": name,
        "version": 1,
        "family": "benchmark",
        "title": "An untrained network",
        "licence": "MIT",
        "image": {"channels": 1, "height": side, "width": side},
        "latent": {"shape": [latent_dim]},
        "classes": [str(label) for label in range(CLASSES)] if "labels" in graph.golden[0] else None,
        "domains": None,
        "operations": {operation: graph_spec(graph, f"{operation}.onnx")},
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
    files = {f"{operation}.onnx": graph.model, "golden.npz": golden({operation: graph})}
    checkpoint.write(root, description, files)


def copies(root: Path, count: int) -> None:
    """Fill a folder with so many checkpoints of other names; the encoder itself is among them."""
    source = CHECKPOINTS / "bench-encoder" / "1"
    text = (source / checkpoint.MANIFEST).read_text()
    for number in range(count):
        name = "bench-encoder" if not number else f"bench-encoder-{number}"
        folder = root / name / "1"
        shutil.copytree(source, folder)
        manifest = json.loads(text) | {"name": name, "default_for": [] if number else ["encode"]}
        raw = json.dumps(manifest).encode()
        (folder / checkpoint.MANIFEST).write_bytes(raw)
        (folder / checkpoint.MANIFEST_HASH).write_text(checkpoint.sha256(raw))
