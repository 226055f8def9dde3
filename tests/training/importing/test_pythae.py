"""Model folders of pythae, in the form that it saves; tests/clients imports ones that it saved itself."""

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from torch.nn import functional as F

from service import checkpoint
from support.service_process import ServiceProcess
from training.cli.commands import main

SHAPE = [1, 6, 5]
LATENT = 3
HIDDEN = 512


def tensors_of(has_variance: bool) -> dict[str, torch.Tensor]:
    shapes = {
        "encoder.layers.0.0": (HIDDEN, 30),
        "encoder.embedding": (LATENT, HIDDEN),
        "decoder.layers.0.0": (HIDDEN, LATENT),
        "decoder.layers.1.0": (30, HIDDEN),
    }
    if has_variance:
        shapes["encoder.log_var"] = (LATENT, HIDDEN)
    random = torch.Generator().manual_seed(0)
    found = {}
    for name, (out, inputs) in shapes.items():
        found[f"{name}.weight"] = torch.randn(out, inputs, generator=random) * inputs**-0.5
        found[f"{name}.bias"] = torch.randn(out, generator=random) * 0.1
    return found


def save(folder: Path, tensors: Any, **config: Any) -> Path:
    folder.mkdir()
    settings = {"name": "VAEConfig", "input_dim": SHAPE, "latent_dim": LATENT, "uses_default_encoder": True}
    (folder / "model_config.json").write_text(json.dumps({**settings, **config}))
    torch.save({"model_state_dict": tensors}, folder / "model.pt")
    return folder


def run_import(folder: Path) -> int:
    return main(["import", "pythae", str(folder), "--inputs", "5"])


@pytest.mark.parametrize("has_variance", [True, False])
def test_encoder_and_decoder_compute_what_pythae_computes(workplace: Path, has_variance: bool):
    tensors = tensors_of(has_variance)
    assert run_import(save(workplace / "my_model", tensors)) == 0
    folder = workplace / "checkpoints" / "my-model" / "1"
    manifest = checkpoint.read(folder).manifest
    assert manifest.offers() == (("encode", "decode", "generate") if has_variance else ("encode", "decode"))
    assert (manifest.image.range, manifest.image.height, manifest.image.width) == ((0.0, 1.0), 6, 5)
    images = torch.rand(4, *SHAPE)
    hidden = F.linear(
        images.flatten(1), tensors["encoder.layers.0.0.weight"], tensors["encoder.layers.0.0.bias"]
    )
    latents = F.linear(F.relu(hidden), tensors["encoder.embedding.weight"], tensors["encoder.embedding.bias"])
    found = onnxruntime.InferenceSession(folder / "encode.onnx").run(None, {"images": images.numpy()})
    assert len(found) == 1 + has_variance
    assert np.abs(found[0] - latents.numpy()).max() < 1e-5
    hidden = F.linear(latents, tensors["decoder.layers.0.0.weight"], tensors["decoder.layers.0.0.bias"])
    pixels = F.linear(
        F.relu(hidden), tensors["decoder.layers.1.0.weight"], tensors["decoder.layers.1.0.bias"]
    )
    found = onnxruntime.InferenceSession(folder / "decode.onnx").run(None, {"latents": latents.numpy()})
    assert np.abs(found[0] - pixels.sigmoid().view(-1, *SHAPE).numpy()).max() < 1e-5


def test_the_service_generates_with_it(workplace: Path):
    assert run_import(save(workplace / "vae", tensors_of(has_variance=True))) == 0
    with (
        ServiceProcess(workplace / "checkpoints", workplace / "service.log") as service,
        service.client() as client,
    ):
        answer = client.post("/generate", json={"model": "vae", "count": 3, "seed": 1})
        assert (answer.status_code, len(answer.json()["images"])) == (200, 3)


def test_a_pickled_network_is_never_read(workplace: Path, capsys: pytest.CaptureFixture[str]):
    """Its weights could be those of a default network, but what is between them is not known."""
    folder = save(workplace / "custom", tensors_of(has_variance=True), uses_default_encoder=False)
    (folder / "encoder.pkl").write_bytes(pickle.dumps(print))
    assert run_import(folder) == 1
    assert "pickled beside them, which could run code and are not read" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "config", "message"),
    [
        ({"iaf_flow.net.weight": torch.zeros(1)}, {}, "weights of decoder, encoder, iaf_flow"),
        ({"encoder.layers.0.0.weight": torch.zeros(8, 1, 3, 3)}, {}, "neither the perceptrons"),
        ({"encoder.layers.1.0.weight": torch.zeros(8, 8)}, {}, "has besides layers.1.0.weight"),
        ({}, {"latent_dim": 4}, "has other shapes for embedding.weight"),
        ({}, {"input_dim": [30]}, "input_dim as [channels, height, width]"),
    ],
)
def test_other_networks_are_refused_by_name(
    workplace: Path,
    capsys: pytest.CaptureFixture[str],
    change: dict[str, torch.Tensor],
    config: dict[str, Any],
    message: str,
):
    assert run_import(save(workplace / "other", {**tensors_of(has_variance=True), **change}, **config)) == 1
    line = capsys.readouterr().err
    assert message in line
    assert line.count("\n") == 1


def test_a_folder_without_a_model_is_one_line(workplace: Path, capsys: pytest.CaptureFixture[str]):
    assert run_import(workplace) == 1
    assert "has no model_config.json" in capsys.readouterr().err
