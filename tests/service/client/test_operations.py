"""What each call asks of the service, and what it makes of the answers."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service.client import operations
from service.client.problems import ServiceProblem, check
from service.client.results import ModelInfo
from service.client.steps import Limits, Request, Session, Steps
from support.in_process import InProcess
from support.tiny_checkpoints import write_tiny

CLASSES = ("T-shirt/top", "Bag", "Ankle boot")
PIXELS = np.random.default_rng(0).integers(0, 256, (11, 8, 8), np.uint8)
MAX_IMAGES, MAX_COUNT, MAX_BODY_BYTES = 4, 5, 4000


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InProcess]:
    root = tmp_path_factory.mktemp("client")
    tiny = {"logvar": True, "classes": CLASSES, "reference": CLASSES}
    write_tiny(root, "tiny", default_for=("encode", "decode", "generate"), **tiny)
    write_tiny(root, "ab", operations=(), domains=("a", "b"), default_for=("translate",))
    write_tiny(root, "colour", channels=3, latent=(2, 3))
    write_tiny(root, "plain", operations=("encode", "decode"), reference=CLASSES)
    limits = {"max_images": MAX_IMAGES, "max_count": MAX_COUNT, "max_body_bytes": MAX_BODY_BYTES}
    with InProcess(root, **limits) as started:
        yield started


class Call:
    """Calls with one session, and notes which requests they became."""

    def __init__(self, service: InProcess) -> None:
        self.service = service
        self.session = Session(progress=False)
        self.sent: list[Request] = []

    def __call__(self, operation: Any, *arguments: Any, **options: Any) -> Any:
        self.sent = []
        steps: Steps[Any] = operation(self.session, *arguments, **options)
        try:
            request = next(steps)
            while True:
                self.sent.append(request)
                request = steps.send(check(self.service.request(**request.arguments())))
        except StopIteration as end:
            return end.value

    @property
    def paths(self) -> list[str]:
        return [request.path for request in self.sent]


@pytest.fixture
def call(service: InProcess) -> Call:
    return Call(service)


def test_large_calls_are_split_and_give_what_small_ones_do(call: Call):
    together = call(operations.encode, PIXELS, sample=True, seed=3, typicality=True)
    assert call.paths == ["/models", *["/encode"] * 3]
    assert (together.model, together.version) == ("tiny", 1)
    assert together.seeds == list(range(3, 14))
    assert together.typicality.shape == (11,)
    alone = call(operations.encode, PIXELS[9], sample=True, seed=12)
    assert call.paths == ["/encode"]
    np.testing.assert_array_equal(together.latents[9:10], alone.latents)


def test_images_are_split_by_their_bytes_too(call: Call):
    noise = np.random.default_rng(1).integers(0, 256, (4, 40, 40), np.uint8)
    assert call(operations.encode, noise).latents.shape == (4, 4)
    assert call.paths == ["/models", *["/encode"] * 4]


def test_an_option_that_is_left_out_is_not_sent(call: Call):
    call(operations.encode, PIXELS[0])
    assert list(call.sent[0].json or {}) == ["images"]
    call(operations.encode, PIXELS[0], model="tiny", sample=True)
    assert set(call.sent[0].json or {}) == {"images", "model", "sample", "seed"}


def test_latents_are_split_by_count_and_by_bytes(call: Call):
    rows = np.linspace(-1, 1, 48, dtype=np.float32).reshape(12, 4)
    decoded = call(operations.decode, rows)
    assert call.paths == ["/models", *["/decode"] * 3]
    assert (decoded.images.shape, decoded.images.dtype) == ((12, 8, 8), np.uint8)
    call.session.limits = Limits(MAX_IMAGES, MAX_COUNT, max_body_bytes=40)
    assert np.array_equal(call(operations.decode, rows[:4]).images, decoded.images[:4])
    assert call.paths == ["/decode"] * 2
    assert call(operations.decode, rows.reshape(8, 2, 3), model="colour").images.shape == (8, 8, 8, 3)


def test_reconstructions_say_how_far_off_they_are(call: Call):
    found = call(operations.reconstruct, PIXELS)
    off = (PIXELS / 255 - found.images / 255) ** 2
    assert found.mse == pytest.approx(off.mean(axis=(1, 2)), abs=0.01)
    assert found.psnr.shape == found.ssim.shape == (11,)


def test_generated_images_can_be_drawn_again(call: Call):
    drawn = call(operations.generate, 12, label="bag", seed=7, return_latents=True)
    assert call.paths == ["/models", *["/generate"] * 3]
    assert (drawn.seeds, drawn.labels) == (list(range(7, 19)), ["Bag"] * 12)
    assert (drawn.images.shape, drawn.latents.shape) == ((12, 8, 8), (12, 4))
    again = call(operations.generate, seed=15, label=1)
    assert call.paths == ["/generate"]
    np.testing.assert_array_equal(drawn.images[8:9], again.images)
    assert again.latents is None


def test_labels_are_split_with_their_images(call: Call):
    labels = ["Bag", 2, 0, "ankle boot", 1, 1]
    named = call(operations.generate, labels=labels, seed=1, truncation=0.5)
    assert named.labels == ["Bag", "Ankle boot", "T-shirt/top", "Ankle boot", "Bag", "Bag"]
    free = call(operations.generate, 11)
    assert free.seeds == list(range(free.seeds[0], free.seeds[0] + 11))


@pytest.mark.parametrize("count", [0, -1])
def test_what_is_no_number_of_images_the_service_refuses(call: Call, count: int):
    with pytest.raises(ServiceProblem, match="count"):
        call(operations.generate, count)


def test_a_stream_is_one_request_of_any_size():
    stream = operations.generate_each(Session(progress=False), 100, label="Bag", seed=7)
    assert stream.request.accept == "application/x-ndjson"
    assert stream.request.json == {"label": "Bag", "seed": 7, "count": 100}


def test_translations_there_and_back(call: Call):
    found = call(operations.translate, PIXELS, "b", cycle=True)
    assert (found.model, found.source, found.to) == ("ab", "a", "b")
    np.testing.assert_array_equal(found.images, 255 - PIXELS)
    np.testing.assert_array_equal(found.back, PIXELS)
    assert found.l1 == pytest.approx(np.zeros(11), abs=1e-6)
    assert call(operations.translate, PIXELS[0], "a").back is None


@pytest.mark.parametrize(
    ("stop", "expected"),
    [
        (7, {"seed": 7}),
        (np.int64(7), {"seed": 7}),
        (np.array([[0.5, 1]], np.float32), {"latent": [0.5, 1]}),
        ([1, 2.5], {"latent": [1, 2.5]}),
        ({"mean": "Bag", "add": []}, {"mean": "Bag", "add": []}),
    ],
)
def test_a_stop_is_what_the_api_takes(call: Call, stop: Any, expected: dict[str, Any]):
    request = next(operations.interpolate(call.session, [stop, stop]))
    assert (request.json or {})["stops"] == [expected, expected]


def test_a_stop_may_be_an_image(call: Call, tmp_path: Path):
    for image in (PIXELS[0], {"image": PIXELS[0]}):
        found = call(operations.interpolate, [image, {"mean": "Bag"}], 5, path="linear", model="plain")
        assert found.images.shape == (5, 8, 8)
    with pytest.raises(FileNotFoundError):
        call(operations.interpolate, [str(tmp_path / "nowhere.png"), 1])


def test_neighbours_are_training_images(call: Call):
    found = call(operations.neighbours, PIXELS, 3)
    assert [len(row) for row in found.neighbours] == [3] * 11
    assert found.points.shape == (11, 2)
    first = found.neighbours[0][0]
    assert (first.label in CLASSES, first.image.shape) == (True, (8, 8))
    distances = [one.distance for one in found.neighbours[0]]
    assert distances == sorted(distances)


def test_a_comparison_is_one_request(call: Call):
    compared = call(operations.compare, PIXELS[:4], PIXELS[4:8])
    assert call.paths == ["/compare"]
    assert compared.n == (4, 4)
    assert 0 <= compared.mmd_p <= 1
    assert call(operations.compare, PIXELS[:3]).n[0] == 3


def test_models_say_what_they_offer(call: Call):
    found: dict[str, ModelInfo] = {model.name: model for model in call(operations.models)}
    assert set(found) == {"ab", "colour", "plain", "tiny"}
    assert found["tiny"].classes == list(CLASSES)
    assert (found["colour"].latent_shape, found["colour"].image_shape) == ((2, 3), (3, 8, 8))
