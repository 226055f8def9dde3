"""A remote VAE: latents in and images out, and the way back, in tensors of [-1, 1]."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from service.media import png
from support.in_process import MAX_COUNT, MAX_IMAGES, InProcess
from support.problem_json import check_problem
from support.tiny_checkpoints import run_onnx, write_tiny

MAX_PIXELS = 4096
RNG = np.random.default_rng(0)
LATENTS = RNG.normal(size=(1, 4, 6, 5)).astype(np.float32)
IMAGES = RNG.uniform(-1, 1, (1, 3, 24, 20)).astype(np.float32)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("remote-vae")
    options: dict[str, Any] = {"operations": ("encode", "decode"), "channels": 3, "value_range": (-1.0, 1.0)}
    scaled = {"scaling_factor": 0.5, "shift_factor": 0.25}
    write_tiny(root, "free", size=None, stride=4, latent=(4, None, None), latent_fields=scaled, **options)
    write_tiny(root, "flat", operations=("encode", "decode"))
    return root


@pytest.fixture(scope="module")
def client(root: Path) -> Iterator[InProcess]:
    with InProcess(root, max_image_pixels=MAX_PIXELS) as started:
        yield started


def ask(client: InProcess, verb: str, array: np.ndarray, model: str = "free", **query: Any) -> httpx.Response:
    raw, accept = query.pop("raw", array.astype("<f4").tobytes()), query.pop("accept", "*/*")
    given = {"shape": list(array.shape), "dtype": "float32", **query}
    params = {name: value for name, value in given.items() if value is not None}
    return client.post(f"/remote-vae/{model}/{verb}", params=params, content=raw, headers={"accept": accept})


def numbers(answer: httpx.Response, dtype: str = "<f4") -> np.ndarray:
    assert answer.status_code == 200, answer.text
    return np.frombuffer(answer.content, dtype).reshape(shape_of(answer))


def shape_of(answer: httpx.Response) -> tuple[int, ...]:
    return tuple(int(axis) for axis in answer.headers["shape"].strip("[]").split(","))


def graph(root: Path, key: str, name: str = "free", **inputs: np.ndarray) -> np.ndarray:
    (found,) = run_onnx((root / name / "1" / f"{key}.onnx").read_bytes(), inputs).values()
    return found


def test_a_tensor_is_what_the_graph_gives(client: InProcess, root: Path):
    found = numbers(ask(client, "decode", LATENTS, output_type="pt"))
    np.testing.assert_allclose(found, graph(root, "decode", latents=LATENTS), rtol=1e-5, atol=1e-6)


def test_latents_are_unscaled_before_and_scaled_after(client: InProcess, root: Path):
    decoded = numbers(ask(client, "decode", LATENTS, output_type="pt", do_scaling="True"))
    expected = graph(root, "decode", latents=LATENTS / np.float32(0.5) + np.float32(0.25))
    np.testing.assert_allclose(decoded, expected, rtol=1e-4, atol=1e-5)
    encoded = numbers(ask(client, "encode", IMAGES, scaling_factor=2, shift_factor=1))
    expected = (graph(root, "encode", images=IMAGES) - 1) * 2
    np.testing.assert_allclose(encoded, expected, rtol=1e-4, atol=1e-5)


def test_an_image_is_a_file_or_its_pixels_or_its_numbers(client: InProcess):
    file = ask(client, "decode", LATENTS, image_format="png")
    pixels = np.asarray(Image.open(io.BytesIO(file.content)))
    assert pixels.shape == (24, 20, 3)
    whole = numbers(ask(client, "decode", LATENTS, partial_postprocess=True), "u1")
    assert np.array_equal(whole, pixels[None])
    in_unit = numbers(ask(client, "decode", LATENTS, accept="tensor/binary"))
    assert in_unit.min() >= 0
    assert in_unit.max() <= 1
    np.testing.assert_allclose(in_unit[0].transpose(1, 2, 0), pixels / 255, atol=0.5 / 255 + 1e-6)


def test_packed_latents_are_unpacked(client: InProcess):
    latents = RNG.normal(size=(1, 4, 6, 4)).astype(np.float32)
    packed = latents.reshape(1, 4, 3, 2, 2, 2).transpose(0, 2, 4, 1, 3, 5).reshape(1, 6, 16)
    expected = ask(client, "decode", latents, output_type="pt").content
    assert ask(client, "decode", packed, output_type="pt", height=24, width=16).content == expected


def test_a_checkpoint_of_flat_latents_and_another_range_takes_part(client: InProcess, root: Path):
    images = RNG.uniform(-1, 1, (1, 1, 8, 8)).astype(np.float32)
    encoded = numbers(ask(client, "encode", images, "flat"))
    np.testing.assert_allclose(
        encoded, graph(root, "encode", "flat", images=(images + 1) / 2), rtol=1e-4, atol=1e-6
    )
    decoded = numbers(ask(client, "decode", encoded, "flat", output_type="pt"))
    expected = graph(root, "decode", "flat", latents=encoded) * 2 - 1
    np.testing.assert_allclose(decoded, expected, rtol=1e-4, atol=1e-5)


def test_an_image_may_be_a_file(client: InProcess, root: Path):
    pixels = RNG.integers(0, 256, (8, 8, 3), np.uint8)
    found = numbers(ask(client, "encode", pixels, raw=png.write(pixels), shape=None, dtype=None))
    images = pixels.transpose(2, 0, 1)[None] / np.float32(127.5) - 1
    expected = graph(root, "encode", images=images.astype(np.float32))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("verb", "array", "query", "field"),
    [
        ("decode", np.zeros((2, 4, 2, 2)), {}, "shape"),
        ("decode", np.zeros((MAX_COUNT + 1, 4, 1, 1)), {"output_type": "pt"}, "shape"),
        ("decode", np.zeros((1, 3, 2, 2)), {}, "shape"),
        ("decode", LATENTS, {"raw": b"x"}, "shape"),
        ("decode", LATENTS, {"raw": np.full(120, np.nan, "<f4").tobytes()}, None),
        ("decode", LATENTS * 1e38, {"scaling_factor": 1e-6}, "scaling_factor"),
        ("decode", np.zeros((1, 6, 16)), {}, "height"),
        ("decode", np.zeros((1, 6, 16)), {"height": 24, "width": 24}, "shape"),
        ("encode", np.zeros((1, 3, 24, 21)), {}, "shape"),
        ("encode", np.zeros((1, 1, 24, 20)), {}, "shape"),
        ("encode", np.zeros((3, 24, 20)), {}, "shape"),
        ("encode", np.zeros((MAX_IMAGES + 1, 3, 4, 4)), {}, "shape"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_field(
    client: InProcess, verb: str, array: np.ndarray, query: dict[str, Any], field: str | None
):
    problem = check_problem(ask(client, verb, array, **query), 422, "invalid-field")
    assert problem["errors"][0]["loc"][1:] == ([field] if field else [])


@pytest.mark.parametrize(
    ("verb", "shape"), [("decode", (1, 4, 16, 17)), ("encode", (1, 3, 64, 68)), ("encode", None)]
)
def test_more_pixels_than_an_image_may_have_are_refused(
    client: InProcess, verb: str, shape: tuple[int, ...] | None
):
    file = np.zeros((64, 65), np.uint8)
    answer = (
        ask(client, verb, np.zeros(shape, np.float32), output_type="pt")
        if shape
        else ask(client, verb, file, raw=png.write(file), shape=None, dtype=None)
    )
    check_problem(answer, 413, "body-too-large")


def test_a_body_is_needed(client: InProcess):
    check_problem(ask(client, "decode", LATENTS, raw=b""), 400, "bad-request")
    check_problem(ask(client, "encode", LATENTS, raw=b""), 400, "bad-request")
