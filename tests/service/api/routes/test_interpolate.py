"""/interpolate: images on the way from stop to stop."""

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service.checkpoint.manifest import LatentSpec
from service.latent_space import sampling
from service.media import png
from support.in_process import MAX_COUNT, InProcess
from support.problem_json import check_problem
from support.tiny_checkpoints import run_onnx, write_tiny

CLASSES = ("T-shirt/top", "Bag", "Ankle boot")
PIXELS = np.random.default_rng(0).integers(0, 256, (8, 8), np.uint8)
IMAGE = {"image": base64.b64encode(png.write(PIXELS)).decode()}
LATENT = {"latent": [1.0, 0.0, 0.0, 0.0]}


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InProcess]:
    """A model that encodes and decodes, and does not draw."""
    root = tmp_path_factory.mktemp("interpolate")
    write_tiny(root, "plain", operations=("encode", "decode"), reference=CLASSES)
    with InProcess(root) as started:
        yield started


def walk(client: InProcess, *stops: dict[str, Any], steps: int = 3, **members: Any) -> Any:
    answer = client.post("/interpolate", json={"stops": stops, "steps": steps, **members})
    assert answer.status_code == 200, answer.text
    return answer.json()


def noise(*seeds: int) -> np.ndarray:
    return sampling.noise(list(seeds), LatentSpec(shape=(4,)), 1.0)


def test_a_way_leads_from_the_first_stop_to_the_last(client: InProcess):
    found = walk(client, {"seed": 1}, LATENT, {"seed": 2}, steps=5, model="vae", path="linear")
    np.testing.assert_allclose(np.array(found["latents"])[[0, 4]], noise(1, 2), rtol=1e-5)
    assert found["latents"][2] == LATENT["latent"]
    assert (len(found["images"]), found["shape"]) == (5, [4])


def test_an_image_is_the_stop_of_its_latent(client: InProcess, checkpoints: Path):
    images = (PIXELS[None, None] / np.float32(255)).astype(np.float32)
    (expected,) = run_onnx((checkpoints / "vae/1/encode.onnx").read_bytes(), {"images": images})["latents"]
    found = walk(client, IMAGE, LATENT, steps=2, model="vae")
    np.testing.assert_allclose(found["latents"][0], expected, rtol=1e-4, atol=1e-6)


def test_a_mean_and_what_is_added_are_those_of_the_training_data(client: InProcess):
    model = client.models.get("vae", "encode")
    assert model.reference is not None
    bag, boot = (model.reference.class_mean(i) for i in (1, 2))
    moved = {"mean": "bag", "add": [{"from": "Bag", "to": 2, "strength": 0.5}]}
    found = walk(client, {"mean": "Bag"}, moved, steps=2, model="vae")
    np.testing.assert_allclose(found["latents"], [bag, bag + 0.5 * (boot - bag)], rtol=1e-5)


def test_each_image_is_of_the_class_of_the_nearest_stop(client: InProcess):
    found = walk(client, {"seed": 1, "label": "Bag"}, {"seed": 2, "label": 2}, steps=4, model="cgan")
    assert found["labels"] == ["Bag", "Bag", "Ankle boot", "Ankle boot"]
    drawn = walk(client, {"seed": 1}, {"seed": 2}, steps=2, model="cgan")
    assert drawn["labels"] == [CLASSES[i] for i in sampling.labels([1, 2], 3)]


def test_without_a_model_one_is_taken_that_can_encode_where_that_is_needed(client: InProcess):
    assert walk(client, IMAGE, LATENT)["model"] == "vae"


@pytest.mark.parametrize(
    ("stops", "members", "loc"),
    [
        ([LATENT, {"latent": [1.0]}], {"model": "vae"}, ["body", "stops", 1, "latent"]),
        ([LATENT, {"image": "x"}], {"model": "vae"}, ["body", "stops", 1, "image"]),
        ([LATENT, {"mean": "Hat"}], {"model": "vae"}, ["body", "stops", 1, "mean"]),
        ([LATENT, {"seed": 1, "label": "Hat"}], {"model": "cgan"}, ["body", "stops", 0, "label"]),
        (
            [LATENT | {"label": 0}, {"seed": 1, "label": "Hat"}],
            {"model": "cgan"},
            ["body", "stops", 1, "label"],
        ),
        ([LATENT, {"seed": 1, "label": 0}], {"model": "vae"}, ["body", "stops", 1, "label"]),
        ([LATENT, LATENT], {"model": "vae", "steps": MAX_COUNT + 1}, ["body", "steps"]),
        ([], {"model": "vae"}, ["body", "stops"]),
    ],
)
def test_a_stop_that_cannot_be_used_is_named(
    client: InProcess, stops: list[Any], members: dict[str, Any], loc: list[Any]
):
    answer = client.post("/interpolate", json={"stops": stops, "steps": 3, **members})
    assert check_problem(answer, 422, "invalid-field")["errors"][0]["loc"] == loc


@pytest.mark.parametrize(
    ("name", "stop", "reason"),
    [
        ("cgan", IMAGE | {"label": 0}, "cgan has no encoder, so an image cannot be a stop."),
        ("cgan", {"mean": "Bag"}, "cgan has no reference file, so no class has a mean."),
        ("bags-boots", LATENT, "bags-boots does not offer interpolate; it offers translate."),
    ],
)
def test_what_the_model_cannot_do_is_said(client: InProcess, name: str, stop: dict[str, Any], reason: str):
    answer = client.post("/interpolate", json={"stops": [stop, stop], "steps": 2, "model": name})
    assert check_problem(answer, 409, "operation-not-offered")["detail"] == reason


def test_a_model_that_decodes_alone_draws_from_no_seed(plain: InProcess):
    answer = plain.post("/interpolate", json={"stops": [LATENT, {"seed": 1}], "steps": 2})
    check_problem(answer, 409, "operation-not-offered")
    assert len(walk(plain, LATENT, {"mean": "Bag"})["images"]) == 3
