"""Generators saved by pytorch-CycleGAN-and-pix2pix become checkpoints that translate as they did."""

import collections
import io
import os
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from PIL import Image

from service import checkpoint
from service.media import png
from support.service_process import ServiceProcess
from support.training import cyclegan_files
from support.training.cyclegan_files import Network, Tensors
from training.cli.commands import main

DOMAINS = ["--domains", "horse", "zebra", "--inputs", "3"]


def run_import(*words: object) -> int:
    return main(["import", "cyclegan", *map(str, words), *DOMAINS])


def save(path: Path, tensors: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(tensors, path)
    return path


def translated(folder: Path, to: str, images: torch.Tensor) -> np.ndarray:
    session = onnxruntime.InferenceSession(folder / f"translate.{to}.onnx")
    found: np.ndarray = session.run(None, {"images": images.numpy()})[0]
    return found


def images(height: int, width: int, channels: int = 3) -> torch.Tensor:
    return torch.rand(2, channels, height, width, generator=torch.Generator().manual_seed(1)) * 2 - 1


@pytest.mark.parametrize(
    ("options", "size"),
    [
        ({"norm": "instance"}, 32),
        ({"norm": "batch"}, 32),
        ({"norm": "instance", "dropout": True}, 32),
        ({"norm": "instance", "blocks": 9, "channels": 1}, 16),
    ],
)
def test_a_resnet_generator_translates_images_of_any_size(
    workplace: Path, options: dict[str, Any], size: int
):
    tensors, network = cyclegan_files.resnet(**options)
    path = save(workplace / "horse2zebra" / "latest_net_G_A.pth", tensors)
    assert run_import(path, "--size", size) == 0
    folder = workplace / "checkpoints" / "horse2zebra" / "1"
    manifest = checkpoint.read(folder).manifest
    assert (manifest.image.height, manifest.image.stride, manifest.image.min_side) == (None, 4, 8)
    assert manifest.image.range == (-1.0, 1.0)
    for height, width in ((8, 8), (20, 36)):
        given = images(height, width, options.get("channels", 3))
        assert np.abs(translated(folder, "zebra", given) - network(given).numpy()).max() < 1e-4


@pytest.mark.parametrize(("norm", "levels"), [("batch", 5), ("instance", 5), ("batch", 7)])
def test_a_unet_generator_has_the_size_of_its_depth(workplace: Path, norm: str, levels: int):
    tensors, network = cyclegan_files.unet(norm, levels)
    path = save(workplace / "facades" / "latest_net_G.pth", tensors)
    assert run_import(path, "--to", "horse") == 0
    folder = workplace / "checkpoints" / "facades" / "1"
    side = 2**levels
    assert checkpoint.read(folder).manifest.image.height == side
    given = images(side, side)
    assert np.abs(translated(folder, "horse", given) - network(given).numpy()).max() < 1e-4


def test_what_it_was_compared_on_is_in_the_manifest(workplace: Path, capsys: pytest.CaptureFixture[str]):
    path = save(workplace / "horse2zebra" / "latest_net_G_A.pth", cyclegan_files.resnet()[0])
    assert run_import(path, "--size", 16, "--licence", "MIT", "--default-for", "translate") == 0
    manifest = checkpoint.read(workplace / "checkpoints" / "horse2zebra" / "1").manifest
    assert set(manifest.parity) == {"translate.zebra.random", "translate.zebra.real"}
    assert all(0 <= value < 1e-4 for value in manifest.parity.values())
    assert "on 3 random inputs" in capsys.readouterr().err.replace("\n", " ")
    assert manifest.training.recipe == "import cyclegan"
    assert manifest.licence == "MIT"
    card = (workplace / "checkpoints" / "horse2zebra" / "1" / "README.md").read_text()
    assert "python -m training import cyclegan latest_net_G_A.pth" in card
    assert "multiples of 4" in card


def test_old_files_have_prefixes_and_unused_statistics(workplace: Path):
    tensors, network = cyclegan_files.resnet()
    old: Tensors = collections.OrderedDict()
    for name, value in tensors.items():
        old[f"module.{name}"] = value
        if name.endswith("weight") and value.ndim == 4 and not name.startswith("model.23"):
            head, _, place = name.removesuffix(".weight").rpartition(".")
            norm = f"module.{head}.{int(place) + 1}"
            old[f"{norm}.running_mean"] = torch.full((value.shape[0],), 9.0)
            old[f"{norm}.running_var"] = torch.full((value.shape[0],), 9.0)
            old[f"{norm}.num_batches_tracked"] = torch.tensor(3)
    path = save(workplace / "old" / "latest_net_G_B.pth", old)
    assert run_import(path, "--size", 16) == 0
    given = images(16, 16)
    found = translated(workplace / "checkpoints" / "old" / "1", "zebra", given)
    assert np.abs(found - network(given).numpy()).max() < 1e-4


@pytest.mark.slow
def test_two_generators_translate_both_ways_and_the_service_serves_them(workplace: Path):
    """Images of two sizes, whose sides are no multiples of each other."""
    networks: dict[str, Network] = {}
    paths = []
    for seed, (letter, to) in enumerate((("A", "zebra"), ("B", "horse"))):
        tensors, networks[to] = cyclegan_files.resnet(seed=seed)
        paths.append(save(workplace / "horse2zebra" / f"latest_net_G_{letter}.pth", tensors))
    assert run_import(*paths, "--size", 16) == 0
    kinds = {"content-type": "image/png", "accept": "image/png"}
    with (
        ServiceProcess(workplace / "checkpoints", workplace / "service.log") as service,
        service.client() as client,
    ):
        for height, width in ((24, 16), (32, 40)):
            pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
            given = torch.from_numpy(pixels).permute(2, 0, 1)[None] / 127.5 - 1
            for to, network in networks.items():
                answer = client.post(f"/translate?to={to}", content=png.write(pixels), headers=kinds)
                assert answer.status_code == 200, answer.text
                shown = np.asarray(Image.open(io.BytesIO(answer.content)), np.float32)
                expected = (network(given)[0].permute(1, 2, 0).numpy() + 1) * 127.5
                assert np.abs(shown - expected).max() <= 1


class Canary:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("canary",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"model.1.weight": Canary()}, "holds more than tensors"),
        ({"epoch": 3}, "is not a state_dict()"),
        ([1, 2], "is not a state_dict()"),
        ({}, "is not a state_dict()"),
        ({"conv1.weight": torch.zeros(1)}, "begins with conv1.weight"),
        ({**cyclegan_files.resnet()[0], "model.99.filt": torch.zeros(1)}, "has besides model.99.filt"),
        (cyclegan_files.resnet(channels=2)[0], "takes 2 channels and gives 2"),
        (
            {name: value for name, value in cyclegan_files.unet()[0].items() if "model.3" not in name},
            "its levels are others",
        ),
    ],
)
def test_what_is_no_such_generator_is_one_line(
    workplace: Path, capsys: pytest.CaptureFixture[str], content: Any, message: str
):
    path = save(workplace / "saved" / "latest_net_G.pth", content)
    assert run_import(path) == 1
    line = capsys.readouterr().err
    assert message in line
    assert line.count("\n") == 1
    assert not (workplace / "canary").exists()
    assert not (workplace / "checkpoints").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere.pth"], "is not a file"),
        (["broken.pth"], "damaged"),
        (["a.pth", "a.pth", "a.pth"], "3 files were given"),
        (["a.pth", "--to", "cow"], "--to is one of them"),
        (["a.pth", "--size", "10"], "a multiple of 4"),
        (["a.pth", "--default-for", "encode"], "offers translate"),
        (["a.pth", "--images", "."], "no readable image"),
        (["a.pth", "u.pth"], "different sizes"),
    ],
)
def test_a_wrong_call_is_one_line(
    workplace: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
):
    save(workplace / "a.pth", cyclegan_files.resnet()[0])
    save(workplace / "u.pth", cyclegan_files.unet()[0])
    (workplace / "broken.pth").write_bytes(b"PK\x03\x04 and so on")
    assert run_import(*words) == 1
    line = capsys.readouterr().err
    assert message in line
    assert "Traceback" not in line
