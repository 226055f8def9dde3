"""Any torch module that can be imported, with the operations it is declared to have."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from service import checkpoint
from training.cli.commands import main

MODULE = """
import torch
from torch import nn
from torch.nn import functional as F


class Autoencoder(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.down = nn.Conv2d(3, 4, 4, stride=4)
        self.up = nn.ConvTranspose2d(4, 3, 4, stride=4)

    def encode(self, images):
        mean = self.down(images)
        return mean, mean - 3

    def decode(self, latents):
        return self.up(latents).tanh()


class Negative(nn.Module):
    def forward(self, images):
        return -images


class Fixed(nn.Module):
    def forward(self, images):
        return images.reshape(-1, 3, 24, 28).flip(1)


class Branching(nn.Module):
    def forward(self, images):
        return images if images.mean() > 0 else -images


class Whole(nn.Module):
    def forward(self, images):
        return images.mean((1, 2, 3))


negative = Negative()
number = 3
"""


@pytest.fixture
def module(workplace: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    name = f"networks_{abs(hash(request.node.name))}"  # each test imports its own
    (workplace / f"{name}.py").write_text(MODULE)
    return name


def run_import(name: str, *words: object) -> int:
    return main(["import", "python", name, "--inputs", "4", "--name", "tried", *map(str, words)])


def session(workplace: Path, key: str) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(workplace / "checkpoints" / "tried" / "1" / f"{key}.onnx")


def test_methods_become_operations_of_images_of_any_size(workplace: Path, module: str):
    given = ["--operation", "encode", "decode", "--stride", 4, "--latent", 4, 0, 0]
    assert run_import(f"{module}:Autoencoder", *given) == 0
    manifest = checkpoint.read(workplace / "checkpoints" / "tried" / "1").manifest
    assert manifest.latent is not None
    assert manifest.latent.shape == (4, None, None)
    assert manifest.image.min_side == 4
    assert set(manifest.parity) == {
        f"{key}.{inputs}" for key in ("encode", "decode") for inputs in ("random", "real")
    }
    images = torch.rand(1, 3, 12, 40) * 2 - 1
    mean, logvar = session(workplace, "encode").run(None, {"images": images.numpy()})
    assert mean.shape == (1, 4, 3, 10)
    assert np.abs(mean - 3 - logvar).max() < 1e-5
    assert session(workplace, "decode").run(None, {"latents": mean})[0].shape == images.shape


def test_a_module_by_itself_does_one_operation(workplace: Path, module: str):
    given = ["--operation", "translate", "--domains", "day", "night", "--to", "day", "--size", 16]
    assert run_import(f"{module}:negative", *given, "--channels", 1, "--range", 0, 2) == 0
    manifest = checkpoint.read(workplace / "checkpoints" / "tried" / "1").manifest
    assert manifest.operations.translate is not None
    assert manifest.operations.translate["day"].source == "night"
    assert (manifest.image.height, manifest.image.range) == (16, (0.0, 2.0))
    images = np.ones((1, 1, 16, 16), np.float32)
    assert (session(workplace, "translate.day").run(None, {"images": images})[0] == -1).all()


@pytest.mark.parametrize(
    ("attribute", "words", "message"),
    [
        ("negative", ["--operation", "encode"], "--latent is needed for encode"),
        ("negative", ["--operation", "translate"], "--domains A B belongs to --operation translate"),
        (
            "negative",
            ["--operation", "encode", "--latent", "4", "--size", "8"],
            "encode returns latents as 3 x 8 x 8",
        ),
        ("Whole", ["--operation", "decode", "--latent", "4", "--size", "8"], "decode fails on 4 in float32"),
        ("Autoencoder", ["--operation", "encode", "generate", "--latent", "4"], "no method generate"),
        (
            "Branching",
            ["--operation", "translate", "--domains", "a", "b", "--size", "8"],
            "Branching cannot become a graph",
        ),
        ("number", ["--operation", "encode", "--latent", "4"], "is of type int; an nn.Module"),
        ("nothing", ["--operation", "encode", "--latent", "4"], "cannot be imported"),
        ("negative", ["--operation", "encode", "--latent", "4", "--range", "1", "0"], "the larger one"),
        ("negative", ["--operation", "encode", "--latent", "4", "0", "0", "--size", "8"], "without --size"),
        (
            "Fixed",
            ["--operation", "translate", "--domains", "a", "b", "--stride", "4"],
            "can be run",
        ),
    ],
)
def test_what_does_not_fit_is_one_line(
    workplace: Path,
    module: str,
    capsys: pytest.CaptureFixture[str],
    attribute: str,
    words: list[str],
    message: str,
):
    assert run_import(f"{module}:{attribute}", *words) == 1
    line = capsys.readouterr().err
    assert message in line
    assert not (workplace / "checkpoints").exists()


def test_a_name_that_is_none_is_told_what_one_is(workplace: Path, capsys: pytest.CaptureFixture[str]):
    assert run_import("networks.py", "--operation", "encode", "--latent", 4) == 1
    assert "package.module:attribute" in capsys.readouterr().err
