"""Models that diffusers and pythae saved themselves become checkpoints that compute the same."""

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from service import checkpoint
from support.service_process import ROOT

DIFFUSERS = "diffusers==0.42.1"
PYTHAE = ("--no-deps", "pythae==0.1.2", "imageio", "cloudpickle")

CLASSES = {"kl": ("AutoencoderKL", 4, 4), "tiny": ("AutoencoderTiny", 8, 4), "vq": ("VQModel", 4, 3)}
"""Class, stride and channels of the latent, by the folder."""


def run_import(python: Path, kind: str, folder: Path, root: Path) -> Path:
    command = [str(python), "-m", "training", "import", kind, str(folder), "--checkpoints", str(root)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert ended.returncode == 0, ended.stderr[-3000:]
    return root / folder.name / "1"


def run_graph(folder: Path, key: str, **inputs: np.ndarray) -> dict[str, np.ndarray]:
    session = onnxruntime.InferenceSession(folder / f"{key}.onnx")
    names = [one.name for one in session.get_outputs()]
    return dict(zip(names, session.run(names, inputs), strict=True))


def off(found: np.ndarray, expected: np.ndarray) -> float:
    assert found.shape == expected.shape
    return float(np.abs(found - expected).max() / np.ptp(expected))


@pytest.fixture(scope="module")
def diffusers(environment: Callable[..., Path]) -> Path:
    return environment("diffusers", DIFFUSERS, borrow=True)


@pytest.fixture(scope="module")
def autoencoders(diffusers: Path, run: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("autoencoders")
    run(diffusers, "autoencoders.py", "make", folder)
    return folder


@pytest.mark.parametrize("name", CLASSES)
def test_autoencoders_of_diffusers(
    name: str, diffusers: Path, autoencoders: Path, run: Callable[..., Any], tmp_path: Path
):
    """At two sizes, neither of which the importer tried."""
    kind, stride, channels = CLASSES[name]
    folder = run_import(diffusers, "diffusers", autoencoders / name, tmp_path)
    manifest = checkpoint.read(folder).manifest
    assert manifest.family == kind
    assert (manifest.image.height, manifest.image.stride) == (None, stride)
    assert manifest.latent is not None
    assert manifest.latent.shape == (channels, None, None)
    if name == "kl":
        assert (manifest.latent.scaling_factor, manifest.latent.shift_factor) == (0.36, 0.11)
    assert len(manifest.parity) == 4
    assert max(manifest.parity.values()) < 1e-4
    for height, width in ((40, 24), (8 * stride, 8 * stride)):
        images = np.random.default_rng(0).uniform(-1, 1, (20, 3, height, width)).astype(np.float32)
        np.savez(tmp_path / "in.npz", images=images)
        run(
            diffusers,
            "autoencoders.py",
            "run",
            autoencoders / name,
            tmp_path / "in.npz",
            tmp_path / "out.npz",
        )
        expected = np.load(tmp_path / "out.npz")
        encoded = run_graph(folder, "encode", images=images)
        decoded = run_graph(folder, "decode", latents=expected["latents"])
        for key, found in {**encoded, **decoded}.items():
            assert off(found, expected[key]) < 1e-4, key


def test_models_of_pythae(environment: Callable[..., Path], run: Callable[..., Any], tmp_path: Path):
    python = environment("pythae", *PYTHAE, borrow=True)
    run(python, "pythae_models.py", tmp_path, tmp_path / "out.npz")
    expected = np.load(tmp_path / "out.npz")
    for name, offered in (("ae", 2), ("vae", 3), ("mnist", 3)):
        folder = run_import(python, "pythae", tmp_path / name, tmp_path / "checkpoints")
        assert len(checkpoint.read(folder).manifest.offers()) == offered
        found = run_graph(folder, "encode", images=expected[f"{name}.inputs"])
        found |= run_graph(folder, "decode", latents=expected[f"{name}.latents"])
        for key, array in found.items():
            assert off(array, expected[f"{name}.{key}"]) < 1e-4, key
