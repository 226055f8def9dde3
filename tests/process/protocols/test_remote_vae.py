"""The remote VAE on the wire; tests/clients drives the same with diffusers' own functions."""

import io
import json
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from service.media import png
from service.protocols.remote_vae import tensors
from support.problem_json import check_problem
from support.service_process import ServiceProcess, StartService
from support.tiny_checkpoints import run_onnx, write_tiny

MAX_PIXELS = 4096
RNG = np.random.default_rng(0)
LATENTS = RNG.normal(size=(1, 4, 6, 5)).astype(np.float32)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("remote-vae") / "checkpoints"
    options: dict[str, Any] = {"operations": ("encode", "decode"), "channels": 3, "value_range": (-1.0, 1.0)}
    scaled = {"scaling_factor": 0.5, "shift_factor": 0.25}
    write_tiny(root, "free", size=None, stride=4, latent=(4, None, None), latent_fields=scaled, **options)
    write_tiny(root, "flat", operations=("encode", "decode"))
    write_tiny(root, "square", size=16, latent=(4, 4, 4), **options)
    return root


@pytest.fixture(scope="module")
def service(root: Path):
    with ServiceProcess(
        root, root.with_name("service.log"), max_body_bytes=1 << 20, max_image_pixels=MAX_PIXELS
    ) as process:
        yield process


@pytest.fixture
def client(service: ServiceProcess):
    with service.client() as client:
        yield client


def decode(
    client: httpx.Client, array: np.ndarray, model: str = "free", accept: str = "*/*", **query: Any
) -> httpx.Response:
    """Ask as the client does: Python's own names for truth values, one `shape` per axis."""
    raw = query.pop("raw", array.astype("<f4").tobytes())
    given = {"shape": list(array.shape), "dtype": "float32"} | {
        name: str(value) if isinstance(value, bool) else value for name, value in query.items()
    }
    headers = {"content-type": "tensor/binary", "accept": accept}
    return client.post(f"/remote-vae/{model}/decode", params=given, content=raw, headers=headers)


def tensor_of(response: httpx.Response, kind: str = "<f4") -> np.ndarray:
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "tensor/binary"
    return np.frombuffer(response.content, kind).reshape(json.loads(response.headers["shape"]))


def images_of(root: Path, latents: np.ndarray) -> np.ndarray:
    """Return what the checkpoint's own graph gives."""
    return run_onnx((root / "free" / "1" / "decode.onnx").read_bytes(), {"latents": latents})["images"]


def levels(images: np.ndarray) -> np.ndarray:
    return ((images.clip(-1, 1) + 1) * 127.5).transpose(0, 2, 3, 1)


def test_a_tensor_is_what_the_graph_gives(client: httpx.Client, root: Path):
    found = tensor_of(decode(client, LATENTS, output_type="pt"))
    assert found.shape == (1, 3, 24, 20)
    assert np.abs(found - images_of(root, LATENTS)).max() < 1e-6


def test_several_latents_come_back_as_a_tensor_and_not_as_a_file(client: httpx.Client):
    both = np.concatenate([LATENTS, -LATENTS])
    assert tensor_of(decode(client, both, output_type="pt")).shape == (2, 3, 24, 20)
    problem = check_problem(decode(client, both, output_type="pil"), 422, "invalid-field")
    assert "output_type=pt" in problem["detail"]


@pytest.mark.parametrize(("given", "media_type"), [("png", "image/png"), ("jpg", "image/jpeg")])
def test_an_image_comes_in_the_format_that_is_asked_for(
    client: httpx.Client, root: Path, given: str, media_type: str
):
    answer = decode(client, LATENTS, image_format=given, accept=media_type)
    assert answer.headers["content-type"] == media_type
    pixels = np.asarray(Image.open(io.BytesIO(answer.content)).convert("RGB"), np.float32)
    off = np.abs(pixels - levels(images_of(root, LATENTS))[0])
    assert off.max() <= 0.51 if given == "png" else off.mean() < 8


def test_pixels_come_as_a_tensor_with_partial_postprocessing(client: httpx.Client, root: Path):
    found = tensor_of(decode(client, LATENTS, output_type="pt", partial_postprocess=True), "u1")
    assert found.shape == (1, 24, 20, 3)
    assert np.abs(found - levels(images_of(root, LATENTS))).max() <= 0.51


def test_a_client_that_wants_an_image_as_numbers_gets_them_in_0_to_1(client: httpx.Client, root: Path):
    found = tensor_of(decode(client, LATENTS, output_type="pil", accept="tensor/binary"))
    assert np.abs(found - (images_of(root, LATENTS) / 2 + 0.5).clip(0, 1)).max() < 1e-6


def test_latents_are_unscaled_and_shifted_as_asked(client: httpx.Client, root: Path):
    found = tensor_of(decode(client, LATENTS, output_type="pt", scaling_factor=2.0, shift_factor=-1.0))
    assert np.abs(found - images_of(root, LATENTS / 2 - 1)).max() < 1e-6


def test_the_checkpoints_own_scaling_applies_where_the_client_leaves_it_to_the_server(
    client: httpx.Client, root: Path
):
    found = tensor_of(decode(client, LATENTS, output_type="pt", do_scaling=True))
    assert np.abs(found - images_of(root, LATENTS / 0.5 + 0.25)).max() < 1e-6


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_comes_and_goes(client: httpx.Client, root: Path, dtype: tensors.DType):
    raw = tensors.write(LATENTS, dtype)
    sent = tensors.read(raw, dtype, LATENTS.shape)
    answer = decode(client, LATENTS, output_type="pt", raw=raw, dtype=dtype)
    assert answer.headers["dtype"] == dtype
    found = tensors.read(answer.content, dtype, (1, 3, 24, 20))
    expected = images_of(root, sent)
    assert np.abs(found - expected).max() <= np.abs(expected).max() * 2.0**-8


def test_bfloat16_is_the_upper_half_of_a_float_rounded_to_even():
    numbers = np.array([1.0, -2.5, 1 + 2**-8, 1 + 3 * 2**-8, 3.3895314e38], np.float32)
    assert tensors.write(numbers, "bfloat16") == bytes.fromhex("803f20c0803f823f7f7f")
    back = tensors.read(tensors.write(numbers, "bfloat16"), "bfloat16", (5,))
    assert back.tolist()[:4] == [1.0, -2.5, 1.0, 1.015625]


def test_packed_latents_are_unpacked(client: httpx.Client):
    rows, columns = 3, 2
    plain = RNG.normal(size=(1, 4, 2 * rows, 2 * columns)).astype(np.float32)
    packed = np.empty((1, rows * columns, 16), np.float32)
    for row in range(rows):
        for column in range(columns):
            patch = plain[0, :, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
            packed[0, row * columns + column] = patch.reshape(-1)
    wanted = {"output_type": "pt", "height": 24, "width": 16}
    assert (
        tensor_of(decode(client, packed, **wanted)) == tensor_of(decode(client, plain, output_type="pt"))
    ).all()
    square = RNG.normal(size=(1, 4, 16)).astype(np.float32)
    assert tensor_of(decode(client, square, "square", height=16, width=16, output_type="pt")).shape[2] == 16
    check_problem(decode(client, packed, output_type="pt"), 422, "invalid-field")
    check_problem(decode(client, packed, **{**wanted, "height": 32}), 422, "invalid-field")


def test_images_come_as_a_file_or_as_a_tensor_and_leave_as_latents(client: httpx.Client, root: Path):
    pixels = RNG.integers(0, 256, (12, 16, 3), np.uint8)
    images = (pixels / 127.5 - 1).astype(np.float32).transpose(2, 0, 1)[None]
    graph = (root / "free" / "1" / "encode.onnx").read_bytes()
    expected = run_onnx(graph, {"images": images})["latents"]
    found = tensor_of(client.post("/remote-vae/free/encode", content=png.write(pixels)))
    assert found.shape == (1, 4, 3, 4)
    assert np.abs(found - expected).max() < 1e-5
    query = {"shape": list(images.shape), "dtype": "float32", "scaling_factor": 0.5, "shift_factor": 3.0}
    found = tensor_of(client.post("/remote-vae/free/encode", params=query, content=images.tobytes()))
    assert np.abs(found - (expected - 3) * 0.5).max() < 1e-5


def test_checkpoints_with_flat_latents_and_another_range_take_part(client: httpx.Client, root: Path):
    """Its range is [0, 1] and its images are grey."""
    code = np.linspace(-1, 1, 4, dtype=np.float32)[None]
    graph = (root / "flat" / "1" / "decode.onnx").read_bytes()
    expected = run_onnx(graph, {"latents": code})["images"]
    found = tensor_of(decode(client, code, "flat", output_type="pt"))
    assert np.abs(found - (expected * 2 - 1)).max() < 1e-6
    assert tensor_of(decode(client, code, "flat", partial_postprocess=True), "u1").shape == (1, 8, 8)
    back = client.post(
        "/remote-vae/flat/encode",
        params={"shape": [1, 1, 8, 8], "dtype": "float32"},
        content=(expected * 2 - 1).astype("<f4").tobytes(),
    )
    graph = (root / "flat" / "1" / "encode.onnx").read_bytes()
    assert np.abs(tensor_of(back) - run_onnx(graph, {"images": expected})["latents"]).max() < 1e-5


@pytest.mark.parametrize(
    ("change", "status", "said"),
    [
        ({"dtype": "float64"}, 422, "'float16', 'bfloat16' or 'float32'"),
        ({"dtype": "float16"}, 422, "float16 of this shape has 240"),
        ({"shape": [1, 4, 6]}, 422, "query.height"),
        ({"shape": [1, 3, 6, 5]}, 422, "[4, any, any]"),
        ({"shape": [1, 4, 0, 5]}, 422, "query.shape"),
        ({"shape": [1, 4, 1000, 1000]}, 413, f"more than {MAX_PIXELS} pixels"),
        ({"shape": [5000, 4, 6, 5]}, 422, "at most 1024"),
        ({"shape": ["x"]}, 422, "query.shape"),
        ({"scaling_factor": 0}, 422, "query.scaling_factor"),
        ({"scaling_factor": "nan"}, 422, "query.scaling_factor"),
        ({"shift_factor": "1e39"}, 422, "query.shift_factor"),
        ({"output_type": "mp4"}, 422, "'pil' or 'pt'"),
        ({"image_format": "gif"}, 422, "'png' or 'jpg'"),
        ({"partial_postprocess": "perhaps"}, 422, "query.partial_postprocess"),
        ({"raw": b""}, 400, "empty"),
        ({"raw": np.full((1, 4, 6, 5), np.nan, "<f4").tobytes()}, 422, "finite"),
        (
            {"raw": np.full((1, 4, 6, 5), 3e38, "<f4").tobytes(), "scaling_factor": 1e-3},
            422,
            "beyond float32",
        ),
        ({"model": "nowhere"}, 404, "no such model"),
        ({"raw": bytes(2 << 20)}, 413, "bytes"),
    ],
)
def test_what_is_wrong_is_said(client: httpx.Client, change: dict[str, Any], status: int, said: str):
    answer = decode(client, LATENTS, **change)
    assert answer.status_code == status, answer.text
    assert said in check_problem(answer, status, answer.json()["code"])["detail"]


@pytest.mark.parametrize(
    ("shape", "status", "said"),
    [
        ([1, 3, 10, 12], 422, "multiples of 4"),
        ([1, 1, 8, 8], 422, "[N, 3, H, W]"),
        ([3, 8, 8], 422, "[N, 3, H, W]"),
        ([1, 3, 400, 400], 413, f"{MAX_PIXELS} pixels"),
        (None, 415, "not a PNG"),
    ],
)
def test_images_that_cannot_be_encoded_are_refused(
    client: httpx.Client, shape: list[int] | None, status: int, said: str
):
    query = {} if shape is None else {"shape": shape, "dtype": "float32"}
    answer = client.post("/remote-vae/free/encode", params=query, content=bytes(100))
    assert answer.status_code == status, answer.text
    assert said in answer.json()["detail"]


def test_a_model_that_only_translates_says_so(tmp_path: Path, start_service: StartService):
    write_tiny(tmp_path / "checkpoints", "ab", operations=(), domains=("a", "b"))
    with start_service().client() as client:
        check_problem(decode(client, LATENTS, "ab"), 409, "operation-not-offered")
