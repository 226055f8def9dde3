"""The Python client against a real service, waiting and awaiting: the same methods, the same results."""

import asyncio
import base64
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from service.client import AsyncClient, Client, ServiceProblem
from support.drawn_images import draw_each
from support.service_process import ServiceProcess
from support.tiny_checkpoints import write_tiny

CLASSES = ("T-shirt/top", "Bag", "Ankle boot")
PIXELS = np.random.default_rng(0).integers(0, 256, (11, 8, 8), np.uint8)
MAX_IMAGES, MAX_COUNT = 4, 5

Ask = Callable[..., Any]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    root = tmp_path_factory.mktemp("client")
    tiny = {"logvar": True, "classes": CLASSES, "reference": CLASSES}
    write_tiny(root / "checkpoints", "tiny", default_for=("encode", "decode", "generate"), **tiny)
    write_tiny(root / "checkpoints", "ab", operations=(), domains=("a", "b"), default_for=("translate",))
    write_tiny(root / "checkpoints", "colour", channels=3, latent=(2, 3))
    write_tiny(root / "checkpoints", "plain", operations=("encode", "decode"), reference=CLASSES)
    limits = {"max_images": MAX_IMAGES, "max_count": MAX_COUNT, "max_body_bytes": 4000}
    with ServiceProcess(root / "checkpoints", root / "log", **limits) as process:
        yield process


@pytest.fixture(params=["Client", "AsyncClient"])
def ask(request: pytest.FixtureRequest, service: ServiceProcess) -> Iterator[Ask]:
    """Call a method of either client: ask("encode", PIXELS)."""
    if request.param == "Client":
        with Client(service.url) as client:
            yield lambda name, *args, **options: getattr(client, name)(*args, **options)
        return
    with asyncio.Runner() as runner:
        opened = AsyncClient(service.url)

        async def call(name: str, *args: Any, **options: Any) -> Any:
            return await getattr(opened, name)(*args, **options)

        yield lambda name, *args, **options: runner.run(call(name, *args, **options))
        runner.run(opened.close())


def requests(service: ServiceProcess, route: str) -> float:
    lines = service.get("/metrics").text.splitlines()
    found = [one for one in lines if one.startswith("latent_requests_total{") and f'route="{route}"' in one]
    return sum(float(line.split()[-1]) for line in found)


def raw(service: ServiceProcess, path: str, **body: Any) -> Any:
    with service.client() as client:
        answer = client.post(path, json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()


def test_images_may_be_paths_images_or_arrays(ask: Ask, tmp_path: Path):
    paths = [tmp_path / f"{i}.png" for i in range(3)]
    for path, pixels in zip(paths, PIXELS[:3], strict=True):
        Image.fromarray(pixels).save(path)
    expected = ask("encode", PIXELS[:3])
    assert (expected.model, expected.version, expected.latents.shape) == ("tiny", 1, (3, 4))
    assert expected.latents.dtype == np.float32
    ways: list[Any] = [
        paths,
        [str(path) for path in paths],
        [Image.open(path) for path in paths],
        list(PIXELS[:3]),
        (paths[0], PIXELS[1], Image.fromarray(PIXELS[2])),
    ]
    for way in ways:
        np.testing.assert_array_equal(ask("encode", way).latents, expected.latents)
    for one in (paths[0], str(paths[0]), Image.open(paths[0]), PIXELS[0]):
        np.testing.assert_array_equal(ask("encode", one).latents, expected.latents[:1])
    rgb = np.stack([PIXELS[:2]] * 3, axis=-1)
    assert ask("encode", rgb, model="colour").latents.shape == (2, 2, 3)


def test_large_calls_are_split_and_give_what_small_ones_do(ask: Ask, service: ServiceProcess):
    before = requests(service, "/encode")
    together = ask("encode", PIXELS, sample=True, seed=3, typicality=True)
    assert requests(service, "/encode") - before == -(-len(PIXELS) // MAX_IMAGES)
    assert together.seeds == list(range(3, 14))
    assert together.typicality.shape == (11,)
    alone = ask("encode", PIXELS[9], sample=True, seed=12)
    np.testing.assert_array_equal(together.latents[9:10], alone.latents)


def test_images_are_split_by_their_bytes_too(ask: Ask, service: ServiceProcess):
    noise = np.random.default_rng(1).integers(0, 256, (4, 40, 40), np.uint8)
    before = requests(service, "/encode")
    assert ask("encode", noise).latents.shape == (4, 4)
    assert requests(service, "/encode") - before == 4


def test_decoding_takes_rows_or_shapes(ask: Ask, service: ServiceProcess):
    latents = np.linspace(-1, 1, 48, dtype=np.float32).reshape(12, 4)
    decoded = ask("decode", latents)
    assert (decoded.images.shape, decoded.images.dtype) == ((12, 8, 8), np.uint8)
    assert [image.size for image in decoded.pil()] == [(8, 8)] * 12
    expected = raw(service, "/decode", latents=latents[:1].tolist())["images"][0]
    np.testing.assert_array_equal(
        decoded.images[0], np.asarray(Image.open(io.BytesIO(base64.b64decode(expected))))
    )
    shaped = ask("decode", latents.reshape(8, 2, 3), model="colour")
    assert shaped.images.shape == (8, 8, 8, 3)
    assert ask("decode", latents[:1].tolist()).images.shape == (1, 8, 8)


def test_reconstructions_say_how_far_off_they_are(ask: Ask, service: ServiceProcess):
    found = ask("reconstruct", PIXELS)
    assert found.images.shape == (11, 8, 8)
    shown = PIXELS.astype(float) / 255
    again = found.images.astype(float) / 255
    assert found.mse == pytest.approx(((shown - again) ** 2).mean(axis=(1, 2)), abs=0.01)
    assert found.psnr.shape == found.ssim.shape == (11,)


def test_generated_images_can_be_drawn_again(ask: Ask):
    drawn = ask("generate", 12, label="bag", seed=7, return_latents=True)
    assert (drawn.seeds, drawn.labels) == (list(range(7, 19)), ["Bag"] * 12)
    assert (drawn.images.shape, drawn.latents.shape) == ((12, 8, 8), (12, 4))
    again = ask("generate", seed=15, label=1)
    np.testing.assert_array_equal(drawn.images[8:9], again.images)
    assert again.latents is None
    labels = ["Bag", 2, 0, "ankle boot", 1, 1]
    named = ask("generate", labels=labels, seed=1, truncation=0.5)
    assert named.labels == ["Bag", "Ankle boot", "T-shirt/top", "Ankle boot", "Bag", "Bag"]
    free = ask("generate", 11)
    assert free.seeds == list(range(free.seeds[0], free.seeds[0] + 11))


@pytest.mark.parametrize("flavour", ["Client", "AsyncClient"])
class TestStream:
    def test_images_come_one_by_one(self, flavour: str, service: ServiceProcess):
        found = draw_each(flavour, service.url, 100, label="Bag", seed=7, return_latents=True)
        assert [one.seed for one in found] == list(range(7, 107))
        assert {one.label for one in found} == {"Bag"}
        with Client(service.url) as client:
            expected = client.generate(100, label="Bag", seed=7, return_latents=True)
        np.testing.assert_array_equal(np.stack([one.image for one in found]), expected.images)
        np.testing.assert_array_equal(np.stack([one.latent for one in found]), expected.latents)

    def test_a_refusal_is_raised(self, flavour: str, service: ServiceProcess):
        with pytest.raises(ServiceProblem, match="known are"):
            draw_each(flavour, service.url, 3, label="Hat")


def test_translations_there_and_back(ask: Ask):
    found = ask("translate", PIXELS, "b", cycle=True)
    assert (found.model, found.source, found.to) == ("ab", "a", "b")
    np.testing.assert_array_equal(found.images, 255 - PIXELS)
    np.testing.assert_array_equal(found.back, PIXELS)
    assert found.l1 == pytest.approx(np.zeros(11), abs=1e-6)
    assert ask("translate", PIXELS[0], "a").back is None


def test_a_way_leads_past_stops_of_every_kind(ask: Ask):
    latent = np.array([1, 0, 0, 0], np.float32)
    found = ask("interpolate", [PIXELS[0], latent, {"mean": "Bag"}], 5, path="linear", model="plain")
    assert found.images.shape == (5, 8, 8)
    np.testing.assert_allclose(found.latents[2], latent)
    seeded = ask("interpolate", [1, {"seed": 2}], 3, model="tiny")
    assert len(seeded.latents) == 3
    assert ask("interpolate", [1, 2], 2, model="colour").latents.shape == (2, 2, 3)


def test_neighbours_and_comparisons(ask: Ask):
    found = ask("neighbours", PIXELS, 3)
    assert [len(row) for row in found.neighbours] == [3] * 11
    assert found.points.shape == (11, 2)
    first = found.neighbours[0][0]
    assert first.label in CLASSES
    assert first.image.shape == (8, 8)
    compared = ask("compare", PIXELS[:4], PIXELS[4:8])
    assert compared.n == (4, 4)
    assert 0 <= compared.mmd_p <= 1
    assert ask("compare", PIXELS[:3]).n[0] == 3


def test_models_say_what_they_offer(ask: Ask):
    found = {model.name: model for model in ask("models")}
    assert set(found) == {"ab", "colour", "plain", "tiny"}
    assert found["tiny"].classes == list(CLASSES)
    assert found["colour"].latent_shape == (2, 3)
    assert found["colour"].image_shape == (3, 8, 8)
    assert found["ab"].operations == ["translate"]


def test_a_refusal_is_an_exception_with_all_that_is_said(ask: Ask):
    with pytest.raises(ServiceProblem, match="known are") as raised:
        ask("generate", label="Hat")
    problem = raised.value
    assert (problem.status, problem.code) == (422, "invalid-field")
    assert problem.errors[0].loc == ("body", "label")
    assert problem.errors[0].msg in problem.detail
    assert problem.request_id in str(problem)
    with pytest.raises(ServiceProblem) as unknown:
        ask("decode", [[0.0] * 4], model="nowhere")
    assert (unknown.value.status, unknown.value.code) == (404, "unknown-model")
    for count in (0, -1):
        with pytest.raises(ServiceProblem, match="count"):
            ask("generate", count)


@pytest.mark.parametrize("thing", [3, None, np.zeros((8, 8)), np.zeros((1, 1, 8, 8, 2), np.uint8), [b"x"]])
def test_what_is_no_image_is_not_sent(ask: Ask, thing: Any):
    with pytest.raises(TypeError):
        ask("encode", [thing])


def test_no_images_are_not_sent_either(ask: Ask, tmp_path: Path):
    with pytest.raises(ValueError, match="at least one"):
        ask("encode", [])
    with pytest.raises(FileNotFoundError):
        ask("encode", tmp_path / "nowhere.png")


@pytest.mark.parametrize("shown", [True, False])
def test_a_bar_is_shown_to_who_wants_one(
    service: ServiceProcess, shown: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("FORCE_COLOR", "1")  # as in a terminal
    with Client(service.url, progress=shown) as client:
        client.generate(12)
        client.encode(PIXELS)
    said = capsys.readouterr()
    assert said.out == ""
    assert ("generate" in said.err and "encode" in said.err) is shown


def test_a_key_is_sent(tmp_path: Path, start_service: Any):
    write_tiny(tmp_path / "checkpoints", "tiny", default_for=("generate",))
    (tmp_path / "keys").write_text("good-key\n")
    service = start_service(api_keys_file=tmp_path / "keys")
    with Client(service.url, api_key="good-key") as client:
        assert len(client.generate(3).images) == 3
    with Client(service.url) as client, pytest.raises(ServiceProblem, match="401 unauthorized"):
        client.generate(3)
