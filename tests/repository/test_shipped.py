"""The checkpoints in the repository: whole, small, as good as promised, and served."""

import base64
import io
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from service import checkpoint
from support.fashion_subset import FASHION
from support.service_process import ROOT, ServiceProcess, shipped
from training.data.datasets import Dataset, fashion_mnist

CHECKPOINTS = ROOT / "checkpoints"
NAMES = (
    "bags-boots",
    "edges-photos",
    "fashion-ae-2d",
    "fashion-cgan",
    "fashion-denoiser",
    "fashion-gan",
    "fashion-vae",
    "sneakers-boots",
)
MAX_BYTES = 10_000_000
MAX_GRAPH_BYTES = 40_000_000
MAX_RESIDENT_MIB = 250


def metrics(name: str) -> Any:
    return checkpoint.read_manifest(shipped(name)).metrics


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    with ServiceProcess(CHECKPOINTS, tmp_path_factory.mktemp("log") / "service.log") as running:
        yield running


@pytest.fixture(scope="module")
def fashion() -> Dataset:
    return fashion_mnist(FASHION)


def image(pixels: np.ndarray) -> str:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def pixels(encoded: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(encoded)))).astype(float) / 255


def test_all_are_there():
    assert tuple(sorted(path.name for path in CHECKPOINTS.iterdir())) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_checkpoint_is_whole_small_and_true_to_its_networks(name: str):
    found = checkpoint.read(shipped(name)).manifest
    assert sum(record.bytes for record in found.files.values()) < MAX_BYTES
    assert all(value <= 1e-4 for value in found.parity.values())
    assert {"README.md", "preview.png", "weights.safetensors"} <= set(found.files)
    assert found.data.split.startswith("train 60000, test 10000")
    assert all(graph.preferred_batch == 64 for graph in found.graphs().values())


def test_all_graphs_together_are_small():
    graphs = [path for name in NAMES for path in shipped(name).glob("*.onnx")]
    assert sum(path.stat().st_size for path in graphs) < MAX_GRAPH_BYTES


@pytest.mark.parametrize("name", NAMES)
def test_graphs_do_not_tell_where_they_were_made(name: str):
    for path in shipped(name).glob("*.onnx"):
        assert b"site-packages" not in path.read_bytes()


@pytest.mark.parametrize(("name", "most"), [("fashion-vae", 0.43), ("fashion-ae-2d", 0.52)])
def test_an_autoencoder_beats_pca(name: str, most: float):
    assert metrics(name)["mse_over_pca"] <= most


def test_near_latents_of_the_vae_are_of_one_class():
    assert metrics("fashion-vae")["knn_accuracy"] >= 0.87


def test_the_conditional_gan_obeys_its_labels():
    found = metrics("fashion-cgan")
    assert found["samples"] == 10_000
    assert found["agreement_over_real"] >= 1.0
    assert found["worst_class_over_real"] >= 0.95
    assert found["by_truncation"]["truncation 0.4"]["label_agreement"] >= 0.98


def test_the_samples_of_the_conditional_gan_are_various():
    """A classifier learns from them what real images would have taught it, and few real ones lie apart."""
    found = metrics("fashion-cgan")
    assert found["gan_train_over_real"] >= 0.95
    assert found["generation"]["generated"]["coverage"] >= 0.84


@pytest.mark.parametrize(("name", "other"), [("bags-boots", "bags"), ("sneakers-boots", "sneakers")])
def test_what_was_never_shown_in_pairs_is_recognised_once_translated(name: str, other: str):
    for way in (f"{other} to boots", f"boots to {other}"):
        assert metrics(name)[way]["recognised_as_target"] >= 0.95
        assert metrics(name)[way]["change_ssim"] >= 0.25
        assert metrics(name)[way]["round_trip_retrieval"] >= 0.8


def test_edges_and_photos_are_really_translated_and_come_back():
    """Nearer to the true pair than doing nothing, and back to where it was, also without hidden messages."""
    for way in ("edges to photos", "photos to edges"):
        found = metrics("edges-photos")[way]
        assert found["change_l1"] >= 0.05
        assert found["truth_l1"] < 0.25 * found["untranslated_l1"]
        assert found["truth_ssim"] > 0.65
        assert found["round_trip_l1"] <= 0.05
        assert found["round_trip_l1_after_noise"] <= 1.5 * found["round_trip_l1"]


def test_all_are_served_within_the_memory_promised(service: ServiceProcess):
    listed = service.get("/models").json()["models"]
    assert sorted((model["name"], model["state"]) for model in listed) == [
        (name, "serving") for name in NAMES
    ]
    status = Path(f"/proc/{service.workers()[0]}/status").read_text()
    resident = int(re.findall(r"VmRSS:\s+(\d+) kB", status)[0]) / 1024
    assert resident < MAX_RESIDENT_MIB


def test_real_images_come_back_from_their_latents(service: ServiceProcess, fashion: Dataset):
    chosen = fashion.test.pixels[:64, 0].numpy()
    images = [image(one) for one in chosen]
    with service.client() as client:
        encoded = client.post("/encode", json={"images": images}).json()
        decoded = client.post("/decode", json={"latents": encoded["latents"]}).json()
        rebuilt = client.post("/reconstruct", json={"images": images}).json()
    assert encoded["shape"] == [16]
    assert decoded["images"] == rebuilt["images"]
    errors = [((pixels(a) - b / 255) ** 2).mean() for a, b in zip(rebuilt["images"], chosen, strict=True)]
    assert np.allclose(errors, rebuilt["mse"], atol=1e-4)
    assert np.mean(errors) < 2 * metrics("fashion-vae")["mse"]


def test_noise_is_taken_off_real_images(service: ServiceProcess, fashion: Dataset):
    clean = fashion.test.pixels[:64, 0].numpy() / 255
    noisy = (clean + 0.3 * np.random.default_rng(0).normal(size=clean.shape)).clip(0, 1)
    images = [image((255 * one).round().astype(np.uint8)) for one in noisy]
    with service.client() as client:
        answer = client.post("/translate", json={"images": images, "to": "clean"}).json()
    assert (answer["model"], answer["from"], answer["to"]) == ("fashion-denoiser", "noisy", "clean")
    restored = np.stack([pixels(one) for one in answer["images"]])
    assert ((restored - clean) ** 2).mean() < ((noisy - clean) ** 2).mean() / 4


def test_the_preview_of_a_generator_is_what_the_service_draws(service: ServiceProcess):
    for name in ("fashion-vae", "fashion-cgan", "fashion-gan"):
        with service.client() as client:
            drawn = client.post("/generate", json={"model": name, "seed": 0, "count": 64}).json()["images"]
        preview = np.asarray(Image.open(shipped(name) / "preview.png"))[::2, ::2] / 255
        tiles = preview.reshape(8, 28, 8, 28).transpose(0, 2, 1, 3).reshape(64, 28, 28)
        assert (
            max(np.abs(tile - pixels(one)).max() for tile, one in zip(tiles, drawn, strict=True))
            <= 1.01 / 255
        )


@pytest.mark.parametrize(
    ("to", "label", "model"),
    [
        ("boots", 8, "bags-boots"),
        ("bags", 9, "bags-boots"),
        ("sneakers", 9, "sneakers-boots"),
        ("edges", 7, "edges-photos"),
    ],
)
def test_translation_finds_its_model_by_the_domain(
    service: ServiceProcess, fashion: Dataset, to: str, label: int, model: str
):
    images = [image(one) for one in fashion.test.pixels[fashion.test.labels == label][:8, 0].numpy()]
    with service.client() as client:
        answer = client.post("/translate", json={"images": images, "to": to, "cycle": True}).json()
    assert (answer["model"], answer["to"]) == (model, to)
    assert max(answer["cycle"]["l1"]) < 0.3


def test_one_corrupt_checkpoint_is_refused_by_name_and_the_others_serve(tmp_path: Path):
    shutil.copytree(CHECKPOINTS, tmp_path / "checkpoints")
    graph = tmp_path / "checkpoints" / "fashion-vae" / shipped("fashion-vae").name / "encode.onnx"
    raw = bytearray(graph.read_bytes())
    raw[len(raw) // 2] ^= 1
    graph.write_bytes(raw)
    with ServiceProcess(tmp_path / "checkpoints", tmp_path / "service.log") as running:
        listed = {model["name"]: model for model in running.get("/models").json()["models"]}
        assert listed["fashion-vae"]["state"] == "refused"
        assert "encode.onnx does not match its hash" in listed["fashion-vae"]["reason"]
        assert {name for name, model in listed.items() if model["state"] == "serving"} == {*NAMES} - {
            "fashion-vae"
        }
