"""What the protocol's models do with tensors, each in the forms that they may come in."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service.errors import (
    BodyTooLarge,
    InvalidField,
    Location,
    OperationNotOffered,
    ServiceError,
    UnknownModel,
)
from service.media import png
from service.protocols.inference import operations
from service.protocols.inference.messages import Call
from service.protocols.inference.tensors import BYTES, Tensor
from support.in_process import MAX_COUNT, MAX_IMAGES, InProcess, make_request
from support.tiny_checkpoints import run_onnx

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (2, 8, 8), np.uint8)
IMAGES = (PIXELS[:, None] / np.float32(255)).astype(np.float32)
LATENTS = RNG.normal(size=(2, 4)).astype(np.float32)
TYPES = {"float32": "FP32", "int64": "INT64", "uint8": "UINT8"}


def tensor(name: str, values: np.ndarray | list[Any], shape: tuple[int, ...] | None = None) -> Tensor:
    if isinstance(values, list):
        return Tensor(name, BYTES, shape or (len(values),), values, ("inputs", 0))
    return Tensor(name, TYPES[values.dtype.name], values.shape, values, ("inputs", 0))


def infer(
    client: InProcess,
    name: str,
    *inputs: Tensor,
    outputs: Mapping[str, bool] | None = None,
    **parameters: Any,
) -> tuple[operations.Arrays, dict[str, int]]:
    served = operations.find(client.models, name, None)
    call = Call({one.name: one for one in inputs}, parameters, outputs=outputs)
    return client.run(operations.run(make_request(app=client.app), served, call, math.inf))


def graph(checkpoints: Path, name: str, key: str, **inputs: np.ndarray) -> operations.Arrays:
    return run_onnx((checkpoints / name / "1" / f"{key}.onnx").read_bytes(), inputs)


def refusal_of(client: InProcess, name: str, *inputs: Tensor, **options: Any) -> ServiceError:
    with pytest.raises(ServiceError) as refusal:
        infer(client, name, *inputs, **options)
    return refusal.value


def test_every_operation_of_a_checkpoint_is_a_model(client: InProcess):
    names = {one.name for one in operations.every(client.models)}
    assert {"vae.encode", "vae.decode", "cgan.generate", "bags-boots.translate"} <= names
    assert "cgan.encode" not in names
    served = operations.find(client.models, "vae.encode", "1")
    assert (served.operation, [one.name for one in served.graph.inputs]) == ("encode", ["images"])
    assert operations.versions(client.models, served) == ["1"]


@pytest.mark.parametrize("name", ["vae", "vae.", ".encode", "vae.sing", "nothing.encode", "vae.encode.x"])
def test_a_name_that_nothing_serves_under_is_unknown(client: InProcess, name: str):
    with pytest.raises(UnknownModel):
        operations.find(client.models, name, None)


def test_a_version_or_an_operation_that_is_not_there_is_refused(client: InProcess):
    with pytest.raises(UnknownModel):
        operations.find(client.models, "vae.encode", "2")
    with pytest.raises(OperationNotOffered):
        operations.find(client.models, "cgan.encode", None)


@pytest.mark.parametrize(
    "images",
    [
        tensor("images", IMAGES),
        tensor("images", PIXELS),
        tensor("images", PIXELS[..., None]),
        tensor("images", [png.write(one) for one in PIXELS]),
        tensor("images", [png.write(one) for one in PIXELS], (2, 1)),
    ],
    ids=["numbers", "pixels", "pixels with an axis for channels", "files", "files in a column"],
)
def test_images_come_as_numbers_pixels_or_files(client: InProcess, checkpoints: Path, images: Tensor):
    expected = graph(checkpoints, "vae", "encode", images=IMAGES)
    found, said = infer(client, "vae.encode", images)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-5, atol=1e-6)
    assert said == {}


def test_only_the_outputs_that_are_wanted_come(client: InProcess):
    found, _ = infer(client, "vae.encode", tensor("images", IMAGES), outputs={"logvar": True})
    assert list(found) == ["logvar"]


def test_an_encoder_may_draw_instead(client: InProcess):
    images = tensor("images", IMAGES)
    mean, _ = infer(client, "vae.encode", images)
    drawn, said = infer(client, "vae.encode", images, sample=True, seed=5)
    assert said == {"seed": 5}
    assert not np.allclose(drawn["latents"], mean["latents"])
    again, _ = infer(client, "vae.encode", images, sample=True, seed=5)
    assert np.array_equal(again["latents"], drawn["latents"])


def test_latents_come_in_their_shape_or_flat(client: InProcess, checkpoints: Path):
    rows = RNG.normal(size=(2, 6)).astype(np.float32)
    (expected,) = graph(checkpoints, "colour", "decode", latents=rows.reshape(2, 2, 3)).values()
    for given in (rows, rows.reshape(2, 2, 3)):
        found, _ = infer(client, "colour.decode", tensor("latents", given))
        np.testing.assert_allclose(found["images"], expected, rtol=1e-5, atol=1e-6)


def test_generate_draws_from_a_seed_which_it_reports(client: InProcess):
    found, said = infer(client, "cgan.generate", seed=7, count=3, label="Bag")
    assert said == {"seed": 7}
    assert found["images"].shape == (3, 1, 8, 8)
    third, _ = infer(client, "cgan.generate", seed=9, label="Bag")
    np.testing.assert_array_equal(third["images"][0], found["images"][2])


@pytest.mark.parametrize(
    "labels",
    [
        tensor("labels", np.array([1, 2])),
        tensor("labels", [b"Bag", b"Ankle boot"]),
        tensor("labels", ["Bag", "Ankle boot"]),
    ],
)
def test_labels_are_indices_or_names_and_go_with_latents(
    client: InProcess, checkpoints: Path, labels: Tensor
):
    expected = graph(checkpoints, "cgan", "generate", latents=LATENTS, labels=np.array([1, 2]))
    found, said = infer(client, "cgan.generate", tensor("latents", LATENTS), labels)
    np.testing.assert_allclose(found["images"], expected["images"], rtol=1e-5, atol=1e-6)
    assert said == {}


def test_translate_goes_where_the_parameter_says(client: InProcess, checkpoints: Path):
    expected = graph(checkpoints, "bags-boots", "translate.boots", images=IMAGES)
    found, _ = infer(client, "bags-boots.translate", tensor("images", IMAGES), to="boots")
    np.testing.assert_allclose(found["translated"], expected["translated"], rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "inputs", "options", "loc"),
    [
        ("vae.encode", [], {}, ("inputs",)),
        ("vae.encode", [tensor("latents", LATENTS)], {}, ("inputs", 0, "name")),
        ("vae.encode", [tensor("images", IMAGES)], {"outputs": {"x": False}}, ("outputs", 0, "name")),
        ("vae.encode", [tensor("images", IMAGES[0])], {}, ("inputs", 0, "shape")),
        ("vae.encode", [tensor("images", IMAGES[:, :, 1:])], {}, ("inputs", 0, "shape")),
        ("vae.encode", [tensor("images", IMAGES * np.float32(np.nan))], {}, ("inputs", 0, "data")),
        ("vae.encode", [tensor("images", PIXELS[0, :2])], {}, ("inputs", 0, "datatype")),
        ("vae.encode", [tensor("images", np.zeros((1, 64), np.int64))], {}, ("inputs", 0, "datatype")),
        ("vae.encode", [tensor("images", [png.write(PIXELS[0])[:60]])], {}, ("inputs", 0, "data", 0)),
        (
            "vae.encode",
            [tensor("images", np.zeros((MAX_IMAGES + 1, 1, 8, 8), np.float32))],
            {},
            ("body", "images"),
        ),
        ("vae.encode", [tensor("images", IMAGES)], {"seed": "x"}, ("parameters", "seed")),
        ("vae.decode", [tensor("latents", np.zeros((1, 4), np.int64))], {}, ("inputs", 0, "datatype")),
        ("vae.decode", [tensor("latents", LATENTS[:, 1:])], {}, ("inputs", 0, "shape")),
        ("vae.decode", [tensor("latents", LATENTS * np.float32(np.inf))], {}, ("inputs", 0, "data", 0)),
        (
            "vae.decode",
            [tensor("latents", np.zeros((MAX_COUNT + 1, 4), np.float32))],
            {},
            ("body", "latents"),
        ),
        ("cgan.generate", [tensor("labels", np.array([3]))], {}, ("parameters", "labels", 0)),
        ("cgan.generate", [tensor("labels", np.array([[1, 2]]))], {}, ("inputs", 0)),
        ("cgan.generate", [], {"count": MAX_COUNT + 1}, ("body", "count")),
        (
            "cgan.generate",
            [tensor("labels", np.array([1])), tensor("latents", LATENTS)],
            {},
            ("inputs", 0, "shape"),
        ),
        ("bags-boots.translate", [tensor("images", IMAGES)], {"to": "hats"}, ("parameters", "to")),
    ],
)
def test_what_does_not_fit_is_refused_with_its_place(
    client: InProcess, name: str, inputs: list[Tensor], options: dict[str, Any], loc: Location
):
    error = refusal_of(client, name, *inputs, **options)
    assert isinstance(error, InvalidField)
    assert error.fields[0].loc == loc


def test_numbers_of_free_size_are_held_to_the_stride_and_to_the_pixels(checkpoints: Path):
    with InProcess(checkpoints, max_image_pixels=64) as client:
        found, _ = infer(client, "any-size.encode", tensor("images", np.ones((1, 1, 4, 16), np.float32)))
        assert found["latents"].shape == (1, 4)
        odd = refusal_of(client, "any-size.encode", tensor("images", np.ones((1, 1, 4, 15), np.float32)))
        assert "H, W) with H and W multiples of 4, 4 or more" in odd.fields[0].msg
        large = refusal_of(client, "any-size.encode", tensor("images", np.ones((1, 1, 4, 20), np.float32)))
        assert isinstance(large, BodyTooLarge)


def test_a_body_that_is_one_tensor_is_an_image_or_rows_of_numbers(client: InProcess):
    encode, decode = (operations.find(client.models, f"vae.{one}", None) for one in ("encode", "decode"))
    image = operations.of_raw(png.write(PIXELS[0]), encode).inputs["images"]
    assert (image.datatype, image.shape) == (BYTES, (1,))
    numbers = operations.of_raw(IMAGES.tobytes(), encode).inputs["images"]
    assert np.array_equal(numbers.values, IMAGES)
    rows = operations.of_raw(LATENTS.tobytes(), decode).inputs["latents"]
    assert np.array_equal(rows.values, LATENTS)


@pytest.mark.parametrize(
    ("raw", "name", "message"),
    [
        (b"", "vae.decode", "rows of 16 bytes"),
        (bytes(15), "vae.decode", "rows of 16 bytes"),
        (png.write(PIXELS[0]), "vae.decode", "rows of 16 bytes"),
        (bytes(64), "any-size.encode", "send them with a shape"),
    ],
)
def test_a_body_that_is_neither_is_refused(client: InProcess, raw: bytes, name: str, message: str):
    with pytest.raises(InvalidField) as refusal:
        operations.of_raw(raw, operations.find(client.models, name, None))
    assert message in refusal.value.fields[0].msg
