"""What is served: the list, one model, and its preview."""

from pathlib import Path
from typing import Any

import pytest

from service.api import responses
from support.hostile_checkpoints import reseal
from support.in_process import MAX_COUNT, MAX_IMAGES, InProcess
from support.problem_json import check_problem
from support.tiny_checkpoints import write_tiny


def test_every_model_is_listed_with_the_limits(client: InProcess):
    found = client.get("/models").json()
    responses.ModelsResponse.model_validate(found)
    names = [one["name"] for one in found["models"]]
    assert names == sorted(names)
    assert {"vae", "cgan", "bags-boots"} <= set(names)
    assert (found["limits"]["max_images"], found["limits"]["max_count"]) == (MAX_IMAGES, MAX_COUNT)


@pytest.mark.parametrize("name", ["vae", "vae@1"])
def test_one_model_says_what_it_offers(client: InProcess, name: str):
    found = client.get(f"/models/{name}").json()
    responses.ModelResponse.model_validate(found)
    assert (found["name"], found["version"], found["state"]) == ("vae", 1, "serving")
    assert found["operations"] == ["encode", "decode", "generate"]
    assert found["image"] == {"channels": 1, "height": 8, "width": 8, "stride": 1, "max_pixels": None}
    assert found["latent"] == {"shape": [4], "prior": "normal"}
    assert found["default_for"] == ["encode", "decode"]
    assert found["reference_classes"] == ["T-shirt/top", "Bag", "Ankle boot"]


def test_a_translator_says_between_which_domains(client: InProcess):
    found = client.get("/models/bags-boots").json()
    assert (found["latent"], found["domains"]) == (None, ["bags", "boots"])
    assert found["translations"] == {"bags": "boots", "boots": "bags"}
    assert client.get("/models/noisy-clean").json()["translations"] == {"clean": "noisy"}


def test_a_preview_is_a_png_that_browsers_do_not_guess_about(client: InProcess):
    found = client.get("/models/vae/preview")
    assert found.content.startswith(b"\x89PNG")
    assert (found.headers["content-type"], found.headers["x-content-type-options"]) == (
        "image/png",
        "nosniff",
    )


@pytest.mark.parametrize("path", ["/models/nothing", "/models/vae@2", "/models/vae@x", "/models/no/preview"])
def test_what_is_not_served_is_unknown(client: InProcess, path: str):
    check_problem(client.get(path), 404, "unknown-model")


def test_a_refused_one_says_why_and_has_no_preview(tmp_path: Path):
    def spoil(manifest: dict[str, Any]) -> None:
        manifest["golden"]["tolerance"] = -1.0

    write_tiny(tmp_path, "good")
    reseal(write_tiny(tmp_path, "spoilt"), spoil)
    with InProcess(tmp_path) as client:
        found = client.get("/models/spoilt").json()
        assert (found["state"], found["operations"]) == ("refused", None)
        assert found["reason"].startswith("version 1: ")
        check_problem(client.get("/models/spoilt/preview"), 404, "unknown-model")
