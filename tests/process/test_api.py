"""The HTTP contract, operation by operation, as a client sees it."""

import base64
import io
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from httpx import Client, Response
from PIL import Image

from service.api import responses
from service.latent_space.sampling import MAX_SEED
from support.problem_json import check_problem
from support.service_process import ServiceProcess
from support.tiny_shipped_checkpoints import CLASSES

SHOE = np.random.default_rng(0).integers(0, 256, (28, 28), np.uint8)


@pytest.fixture(scope="module")
def client(fashion: ServiceProcess) -> Iterator[Client]:
    with fashion.client() as opened:
        yield opened


def png(pixels: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def text(pixels: Any) -> str:
    return base64.b64encode(png(pixels)).decode()


def pixels_of(images: list[str]) -> Any:
    return np.stack([np.asarray(Image.open(io.BytesIO(base64.b64decode(image)))) for image in images])


def ask(client: Client, path: str, **body: Any) -> Any:
    response = client.post(path, json=body)
    assert response.status_code == 200, response.text
    return response.json()


def refuse(client: Client, path: str, status: int, code: str, **body: Any) -> str:
    return str(check_problem(client.post(path, json=body), status, code)["detail"])


class TestGenerate:
    def test_the_answer_says_what_was_drawn(self, client: Client) -> None:
        answer = ask(client, "/generate", label="Ankle boot", count=3, seed=7, return_latents=True)
        responses.GenerateResponse.model_validate(answer)
        assert answer["model"] == "fashion-cgan"
        assert answer["version"] == 1
        assert answer["seeds"] == [7, 8, 9]
        assert answer["labels"] == ["Ankle boot"] * 3
        assert answer["shape"] == [64]
        assert np.shape(answer["latents"]) == (3, 64)
        assert pixels_of(answer["images"]).shape == (3, 28, 28)

    def test_a_seed_gives_the_same_image_alone_and_in_a_batch(self, client: Client) -> None:
        batch = ask(client, "/generate", label=9, count=40, seed=100)
        for i in (0, 1, 17, 39):
            assert ask(client, "/generate", label=9, seed=100 + i)["images"] == [batch["images"][i]]
        assert len(set(batch["images"])) == 40

    def test_labels_are_names_in_any_case_or_indices(self, client: Client) -> None:
        answer = ask(client, "/generate", labels=[9, "BAG", "t-shirt/TOP", 0], seed=1)
        assert answer["labels"] == ["Ankle boot", "Bag", "T-shirt/top", "T-shirt/top"]
        assert answer["seeds"] == [1, 2, 3, 4]

    def test_labels_are_drawn_from_the_seeds_if_none_is_given(self, client: Client) -> None:
        answer = ask(client, "/generate", count=50, seed=3)
        assert len(set(answer["labels"])) > 5
        again = ask(client, "/generate", labels=answer["labels"], seed=3)
        assert again["images"] == answer["images"]
        assert ask(client, "/generate", seed=5)["labels"] == answer["labels"][2:3]

    def test_a_seed_is_drawn_if_none_is_given(self, client: Client) -> None:
        first, second = (ask(client, "/generate", label=0, count=2) for _ in range(2))
        assert first["seeds"] != second["seeds"]
        assert first["seeds"][1] == first["seeds"][0] + 1
        assert ask(client, "/generate", label=0, count=2, seed=first["seeds"][0])["images"] == first["images"]

    def test_truncation_scales_the_latent(self, client: Client) -> None:
        full, half = (
            np.array(ask(client, "/generate", seed=1, truncation=t, return_latents=True)["latents"])
            for t in (1.0, 0.5)
        )
        np.testing.assert_allclose(half, full / 2, rtol=1e-6)

    def test_a_model_without_classes_reports_no_labels(self, client: Client) -> None:
        assert "labels" not in ask(client, "/generate", model="fashion-vae", seed=1)
        for asked in ({"label": 1}, {"labels": ["Bag"]}):
            detail = refuse(client, "/generate", 422, "invalid-field", model="fashion-vae", **asked)
            assert "no classes" in detail

    @pytest.mark.parametrize("label", ["shoe", "", -1, 10, 10**30])
    def test_an_unknown_class_is_422_and_lists_the_known(self, client: Client, label: Any) -> None:
        for asked in ({"label": label}, {"labels": [0, label]}):
            detail = refuse(client, "/generate", 422, "invalid-field", **asked)
            for name in CLASSES:
                assert name in detail

    def test_the_last_seed_is_the_largest_there_is(self, client: Client) -> None:
        answer = ask(client, "/generate", count=2, seed=MAX_SEED - 1)
        assert answer["seeds"] == [MAX_SEED - 1, MAX_SEED]
        refuse(client, "/generate", 422, "invalid-field", count=3, seed=MAX_SEED - 1)

    def test_the_count_is_bounded(self, client: Client) -> None:
        assert len(ask(client, "/generate", count=1024, seed=0)["images"]) == 1024
        assert "1024" in refuse(client, "/generate", 422, "invalid-field", count=1025)
        assert "1024" in refuse(client, "/generate", 422, "invalid-field", labels=[0] * 1025)


class TestEncode:
    def test_the_answer_is_the_mean_and_the_same_every_time(self, client: Client) -> None:
        answer = ask(client, "/encode", images=[text(SHOE)])
        responses.EncodeResponse.model_validate(answer)
        assert (answer["model"], answer["shape"]) == ("fashion-vae", [16])
        assert ask(client, "/encode", images=[text(SHOE)])["latents"] == answer["latents"]

    def test_a_sample_is_another_and_depends_on_its_seed_alone(self, client: Client) -> None:
        mean = ask(client, "/encode", images=[text(SHOE)])["latents"][0]
        two = ask(client, "/encode", images=[text(SHOE)] * 2, sample=True, seed=4)
        assert two["seeds"] == [4, 5]
        assert mean != two["latents"][0] != two["latents"][1]
        alone = ask(client, "/encode", images=[text(SHOE)], sample=True, seed=5)
        assert alone["latents"] == two["latents"][1:]
        drawn = ask(client, "/encode", images=[text(SHOE)], sample=True)
        again = ask(client, "/encode", images=[text(SHOE)], sample=True, seed=drawn["seeds"][0])
        assert again["latents"] == drawn["latents"]

    def test_a_photograph_of_any_kind_is_fitted(self, client: Client) -> None:
        for shape in ((31, 57, 3), (300, 200, 4), (28, 28), (1, 1)):
            pixels = np.random.default_rng(1).integers(0, 256, shape, np.uint8)
            assert np.shape(ask(client, "/encode", images=[text(pixels)])["latents"]) == (1, 16)


class TestDecodeAndReconstruct:
    def test_latents_become_images(self, client: Client) -> None:
        rows = np.random.default_rng(0).normal(size=(3, 16)).tolist()
        answer = ask(client, "/decode", latents=rows)
        responses.DecodeResponse.model_validate(answer)
        assert pixels_of(answer["images"]).shape == (3, 28, 28)
        assert ask(client, "/decode", latents=rows[1:2])["images"] == answer["images"][1:2]

    def test_a_reconstruction_is_the_decoded_latent_and_says_how_far_off(self, client: Client) -> None:
        answer = ask(client, "/reconstruct", images=[text(SHOE), text(255 - SHOE)])
        responses.ReconstructResponse.model_validate(answer)
        latents = ask(client, "/encode", images=[text(SHOE), text(255 - SHOE)])["latents"]
        assert answer["images"] == ask(client, "/decode", latents=latents)["images"]
        given = np.stack([SHOE, 255 - SHOE]) / 255
        mse = ((pixels_of(answer["images"]) / 255 - given) ** 2).mean(axis=(1, 2))
        np.testing.assert_allclose(answer["mse"], mse, atol=2e-3)
        np.testing.assert_allclose(answer["psnr"], -10 * np.log10(answer["mse"]), rtol=1e-6)
        assert all(-1 <= value <= 1 for value in answer["ssim"])


class TestTranslate:
    def test_there_and_back_again(self, client: Client) -> None:
        answer = ask(client, "/translate", images=[text(SHOE)], to="boots", cycle=True)
        responses.TranslateResponse.model_validate(answer)
        assert (answer["model"], answer["from"], answer["to"]) == ("bags-boots", "bags", "boots")
        np.testing.assert_array_equal(pixels_of(answer["images"])[0], 255 - SHOE)
        np.testing.assert_array_equal(pixels_of(answer["cycle"]["images"])[0], SHOE)
        assert answer["cycle"]["l1"] == pytest.approx([0], abs=1e-6)
        assert "cycle" not in ask(client, "/translate", images=[text(SHOE)], to="bags")

    def test_the_domain_selects_the_model(self, client: Client) -> None:
        chosen = {
            to: ask(client, "/translate", images=[text(SHOE)], to=to)["model"] for to in ("photos", "clean")
        }
        assert chosen == {"photos": "edges-photos", "clean": "noisy-clean"}

    def test_the_domain_may_be_left_out_where_there_is_one(self, client: Client) -> None:
        answer = ask(client, "/translate", images=[text(SHOE)], model="noisy-clean")
        assert (answer["from"], answer["to"]) == ("noisy", "clean")

    @pytest.mark.parametrize("asked", [{}, {"to": "shoes"}, {"to": ""}])
    def test_else_it_is_422_and_lists_the_domains(self, client: Client, asked: dict[str, str]) -> None:
        detail = refuse(client, "/translate", 422, "invalid-field", images=[text(SHOE)], **asked)
        for domain in ("bags", "boots", "edges", "photos", "clean"):
            assert domain in detail
        detail = refuse(
            client, "/translate", 422, "invalid-field", images=[text(SHOE)], model="edges-photos", **asked
        )
        assert "edges" in detail
        assert "boots" not in detail

    def test_no_way_back_is_422(self, client: Client) -> None:
        detail = refuse(
            client, "/translate", 422, "invalid-field", images=[text(SHOE)], to="clean", cycle=True
        )
        assert "noisy" in detail


class TestModels:
    def test_a_model_can_be_named_with_its_version(self, client: Client) -> None:
        assert ask(client, "/generate", model="fashion-vae@1", seed=1)["model"] == "fashion-vae"

    @pytest.mark.parametrize(
        "model", ["nope", "fashion-vae@2", "../fashion-vae", "", "fashion-vae@", "@1", "\0"]
    )
    def test_an_unknown_model_is_404(self, client: Client, model: str) -> None:
        refuse(client, "/generate", 404, "unknown-model", model=model)

    def test_an_operation_that_a_model_lacks_is_409(self, client: Client) -> None:
        detail = refuse(
            client, "/encode", 409, "operation-not-offered", model="bags-boots", images=[text(SHOE)]
        )
        assert "translate" in detail

    def test_the_listing_says_all_that_a_client_needs(self, client: Client) -> None:
        listing = client.get("/models").json()
        responses.ModelsResponse.model_validate(listing)
        models = {model["name"]: model for model in listing["models"]}
        assert list(models) == sorted(models)
        assert models["fashion-cgan"]["classes"] == list(CLASSES)
        assert models["fashion-cgan"]["default_for"] == ["generate"]
        assert models["fashion-vae"]["operations"] == ["encode", "decode", "generate"]
        assert models["fashion-vae"]["latent"] == {"shape": [16], "prior": "normal"}
        assert models["bags-boots"]["translations"] == {"bags": "boots", "boots": "bags"}
        one = client.get("/models/bags-boots").json()
        responses.ModelResponse.model_validate(one)
        assert one | {"request_id": ""} == models["bags-boots"] | {"request_id": ""}
        assert "bags-boots" in check_problem(client.get("/models/nope"), 404, "unknown-model")["detail"]

    def test_health_and_metrics_answer(self, client: Client) -> None:
        responses.LiveResponse.model_validate(client.get("/health/live").json())
        ready = responses.ReadyResponse.model_validate(client.get("/health/ready").json())
        assert "fashion-vae" in ready.serving
        assert "latent_requests_total" in client.get("/metrics").text


@pytest.mark.usefixtures("curl")
class TestCurl:
    """The commands of the README, as they are but for the port."""

    def run(self, *arguments: str) -> bytes:
        return subprocess.run(["curl", "-sS", *arguments], check=True, capture_output=True, timeout=20).stdout

    def test_nine_boots_as_one_image(self, fashion: ServiceProcess) -> None:
        body = '{"label":"Ankle boot","count":9,"seed":7}'
        headers = ["-H", "content-type: application/json", "-H", "accept: image/png"]
        image = Image.open(io.BytesIO(self.run(f"{fashion.url}/generate", *headers, "-d", body)))
        assert (image.format, image.size) == ("PNG", (84, 84))

    def test_a_latent_of_a_file(self, fashion: ServiceProcess, tmp_path: Path) -> None:
        shoe = tmp_path / "shoe.png"
        shoe.write_bytes(png(SHOE))
        sent = ["--data-binary", f"@{shoe}", "-H", "content-type: image/png"]
        answer = responses.EncodeResponse.model_validate_json(self.run(*sent, f"{fashion.url}/encode"))
        assert len(answer.latents[0]) == 16


def test_every_answer_carries_the_request_id_it_was_given(client: Client) -> None:
    headers = {"x-request-id": "my-id.1"}
    answers: list[Response] = [
        client.post("/generate", json={}, headers=headers),
        client.get("/models", headers=headers),
        client.get("/nope", headers=headers),
    ]
    for answer in answers:
        assert answer.json()["request_id"] == answer.headers["x-request-id"] == "my-id.1"
