"""/translate: images carried over to another domain, and back."""

import base64
import json
from typing import Any

import numpy as np
import pytest

from service.media import npy, png
from support.in_process import InProcess
from support.problem_json import check_problem

PIXELS = np.random.default_rng(0).integers(0, 256, (2, 8, 8), np.uint8)
TEXTS = [base64.b64encode(png.write(one)).decode() for one in PIXELS]


def translate(client: InProcess, **members: Any) -> Any:
    answer = client.post("/translate", json={"images": TEXTS, **members})
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_the_domain_chooses_the_model_and_says_where_images_come_from(client: InProcess):
    found = translate(client, to="boots")
    assert (found["model"], found["from"], found["to"]) == ("bags-boots", "bags", "boots")
    assert "cycle" not in found
    only = translate(client, model="noisy-clean")
    assert (only["from"], only["to"]) == ("noisy", "clean")


def test_images_are_what_the_graph_gives(client: InProcess):
    """Of these models that is the negative."""
    headers = {"content-type": "application/x-npy", "accept": "application/x-npy"}
    answer = client.post("/translate?to=boots", content=npy.write(PIXELS), headers=headers)
    assert np.array_equal(npy.read(answer.content, np.uint8, (3,)), 255 - PIXELS)
    assert answer.headers["x-latent-from"] == "bags"


def test_a_cycle_leads_back_and_says_how_far_from_the_image(client: InProcess):
    cycle = translate(client, to="boots", cycle=True)["cycle"]
    np.testing.assert_allclose(cycle["l1"], [0, 0], atol=1e-6)
    assert [base64.b64decode(one) for one in cycle["images"]] == [png.write(one) for one in PIXELS]


def test_lines_have_a_cycle_of_their_own(client: InProcess):
    body = b"".join(json.dumps({"image": one}).encode() + b"\n" for one in TEXTS)
    headers = {"content-type": "application/x-ndjson"}
    answer = client.post("/translate?to=boots&cycle=true", content=body, headers=headers)
    *lines, end = map(json.loads, answer.text.splitlines())
    assert [base64.b64decode(one["cycle"]["image"]) for one in lines] == [png.write(one) for one in PIXELS]
    assert (end["done"]["from"], end["done"]["to"]) == ("bags", "boots")


@pytest.mark.parametrize(
    ("members", "status", "code"),
    [
        ({}, 422, "invalid-field"),
        ({"to": "hats"}, 422, "invalid-field"),
        ({"model": "bags-boots"}, 422, "invalid-field"),
        ({"model": "noisy-clean", "cycle": True}, 422, "invalid-field"),
        ({"model": "vae"}, 409, "operation-not-offered"),
    ],
)
def test_what_cannot_be_done_is_refused(client: InProcess, members: dict[str, Any], status: int, code: str):
    check_problem(client.post("/translate", json={"images": TEXTS, **members}), status, code)
