"""From images to latents, by whichever route they came."""

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from starlette.requests import Request

from service.api import encoding
from service.api.uploads import Upload
from service.comparison.drift import Windows
from service.errors import DeadlineExceeded, InferenceFailed, InvalidField
from service.inference.model import Model
from support.in_process import InProcess, make_request
from support.tiny_checkpoints import run_onnx, tiny_manifest, write_tiny

PIXELS = np.random.default_rng(0).integers(0, 256, (3, 8, 8), np.uint8)
IMAGES = (PIXELS[:, None] / np.float32(255)).astype(np.float32)
ROWS = 10


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("encoding")
    write_tiny(root, "flat", operations=("encode",), logvar=True, reference=("a", "b"))
    write_tiny(root, "shaped", operations=("encode",), latent=(2, 3))
    return root


@pytest.fixture(scope="module")
def served(root: Path) -> Iterator[InProcess]:
    with InProcess(root) as started:
        yield started


def model_of(served: InProcess, name: str = "flat") -> tuple[Request, Model]:
    return make_request(app=served.app), served.models.get(name, "encode")


async def test_images_are_fitted_to_the_model_within_the_limit_of_the_service(served: InProcess):
    request, model = model_of(served)
    np.testing.assert_allclose(await encoding.fit(request, model, Upload(PIXELS)), IMAGES, atol=1e-6)


def test_latents_are_those_of_the_graph(served: InProcess, root: Path):
    expected = run_onnx((root / "flat/1/encode.onnx").read_bytes(), {"images": IMAGES})
    found = served.run(encoding.encode(*model_of(served), IMAGES, counts_for_drift=False))
    assert found.keys() == expected.keys()
    np.testing.assert_allclose(found["latents"], expected["latents"], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("counts", [True, False])
def test_only_live_traffic_counts_for_drift(served: InProcess, tmp_path: Path, counts: bool):
    served.app.state.windows = windows = Windows(tmp_path, 0, ROWS, 1)
    request, model = model_of(served)
    found = served.run(encoding.encode(request, model, IMAGES, counts_for_drift=counts))
    expected = found["latents"] if counts else found["latents"][:0]
    np.testing.assert_array_equal(windows.newest(model), expected)


def test_rows_are_flat_whatever_shape_latents_have(served: InProcess):
    request, model = model_of(served, "shaped")
    rows = served.run(encoding.latent_rows(request, model, Upload(PIXELS), counts_for_drift=False))
    assert rows.shape == (3, 6)


def test_what_has_no_time_is_not_run(served: InProcess):
    request, model = model_of(served)
    work = encoding.encode(request, model, IMAGES, counts_for_drift=False, due_s=time.monotonic() - 1)
    with pytest.raises(DeadlineExceeded):
        served.run(work)


def test_a_draw_is_that_of_its_seed_alone():
    mean = np.zeros((2, 4), np.float32)
    outputs = {"latents": mean, "logvar": mean}
    both = encoding.draw(outputs, [7, 8], tiny_manifest())
    alone = encoding.draw({name: value[1:] for name, value in outputs.items()}, [8], tiny_manifest())
    assert np.array_equal(both[1:], alone)
    assert not np.array_equal(both[0], both[1])


def test_a_latent_without_a_distribution_cannot_be_drawn():
    with pytest.raises(InvalidField) as refusal:
        encoding.draw({"latents": np.zeros((1, 4), np.float32)}, [7], tiny_manifest())
    assert refusal.value.fields[0].loc == ("body", "sample")


def test_a_width_beyond_float32_fails():
    outputs = {"latents": np.zeros((1, 4), np.float32), "logvar": np.full((1, 4), 1000, np.float32)}
    with pytest.raises(InferenceFailed):
        encoding.draw(outputs, [7], tiny_manifest())
