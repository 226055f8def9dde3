"""diffusers' `remote_decode` and `remote_encode`, unmodified, against an imported AutoencoderKL."""

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support.service_process import ROOT, ServiceProcess

DIFFUSERS = "diffusers==0.42.1"


@pytest.fixture(scope="module")
def found(
    environment: Callable[..., Path], run: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory
) -> Any:
    """What the client found: how far each way is from running the autoencoder in its own process."""
    root = tmp_path_factory.mktemp("remote-vae")
    python = environment("diffusers", DIFFUSERS, borrow=True)
    run(python, "autoencoders.py", "make", root)
    command = [str(python), "-m", "training", "import", "diffusers", str(root / "kl"), "--inputs", "10"]
    subprocess.run([*command, "--checkpoints", str(root / "checkpoints")], cwd=ROOT, check=True, timeout=600)
    with ServiceProcess(root / "checkpoints", root / "service.log") as service:
        return run(python, "remote_vae_client.py", f"{service.url}/remote-vae/kl", root / "kl")


@pytest.mark.parametrize(
    "way", ["png", "pt with a processor", "partial", "pil with a processor", "there and back"]
)
def test_images_equal_those_of_a_local_run_to_one_grey_level(found: Any, way: str):
    assert found[way] <= 1


def test_a_jpeg_shows_the_same_image(found: Any):
    size, mean = found["jpg"]
    assert size == [40, 24]
    assert mean < 8


@pytest.mark.parametrize(
    "way",
    [
        *("float32", "batch", "no scaling", "the checkpoint's scaling", "packed"),
        *("encode PIL", "encode tensor", "encode half"),
    ],
)
def test_tensors_equal_those_of_a_local_run(found: Any, way: str):
    assert found[way] < 1e-3


@pytest.mark.parametrize(("way", "limit"), [("torch.float16", 2e-3), ("torch.bfloat16", 1e-2)])
def test_half_precision_loses_no_more_than_it_must(found: Any, way: str, limit: float):
    assert found[way] < limit


def test_refusals_are_read_by_the_client(found: Any):
    shape, large, unknown, sides = found["refusals"]
    assert "[4, any, any]" in shape
    assert "413" in large
    assert "no such model" in unknown
    assert "multiples of 4" in sides
