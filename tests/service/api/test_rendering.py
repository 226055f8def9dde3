"""Answers in the media type that was asked for."""

import io
import json
import zipfile
from typing import Any

import numpy as np
import pytest
from PIL import Image

from service.api import rendering
from service.api.payload import OutputImages
from service.api.rendering import MAX_HEADER_BYTES, OF_IMAGES, OF_LATENTS, AnswerFormat, headers, negotiate
from service.checkpoint.manifest import ImageSpec
from service.errors import InvalidField, NotAcceptable
from support.in_process import make_request

PIXELS = np.arange(2 * 4 * 5, dtype=np.uint8).reshape(2, 4, 5)
IMAGES = OutputImages(
    (PIXELS[:, None] / np.float32(255)).astype(np.float32), ImageSpec(channels=1, height=4, width=5)
)
MEMBERS: dict[str, Any] = {"model": "m", "images": IMAGES, "seeds": [7, 8]}


def render(media_type: str, members: dict[str, Any] = MEMBERS, quality: int | None = None) -> bytes:
    return rendering.render(AnswerFormat(media_type, quality), members)


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", ("application/json", None)),
        ("*/*", ("application/json", None)),
        ("image/webp;quality=80, image/png;q=0.5", ("image/webp", 80)),
        ("image/jpeg", ("image/jpeg", None)),
        ("image/png;quality=80", ("image/png", None)),
        ("application/x-ndjson", ("application/x-ndjson", None)),
    ],
)
def test_the_client_says_what_it_likes_best(accept: str, expected: tuple[str, int | None]):
    assert negotiate(make_request(headers={"accept": accept}), OF_IMAGES) == expected


def test_a_body_of_lines_is_answered_in_lines_and_in_nothing_else():
    lines = {"content-type": "application/x-ndjson; charset=utf-8"}
    assert negotiate(make_request(headers=lines), OF_IMAGES).media_type == "application/x-ndjson"
    with pytest.raises(NotAcceptable):
        negotiate(make_request(headers=lines | {"accept": "image/png"}), OF_IMAGES)


def test_what_is_not_offered_is_refused():
    with pytest.raises(NotAcceptable):
        negotiate(make_request(headers={"accept": "image/png"}), OF_LATENTS)
    with pytest.raises(InvalidField):
        negotiate(make_request(headers={"accept": "image/webp;quality=101"}), OF_IMAGES)


def test_json_has_all_members():
    found = json.loads(render("application/json"))
    assert (found["model"], found["seeds"], len(found["images"])) == ("m", [7, 8], 2)


def test_lines_end_with_the_rest():
    *lines, end = map(json.loads, render("application/x-ndjson").splitlines())
    assert [one["seed"] for one in lines] == [7, 8]
    assert end == {"done": {"count": 2, "model": "m"}}


def test_an_array_is_of_pixels_or_of_latents():
    assert np.array_equal(np.load(io.BytesIO(render("application/x-npy"))), PIXELS)
    latents = np.eye(2, dtype=np.float32)
    found = np.load(io.BytesIO(render("application/x-npy", {"latents": latents})))
    assert np.array_equal(found, latents)


@pytest.mark.parametrize("kind", ["png", "webp", "jpeg"])
def test_several_images_are_one_sheet(kind: str):
    sheet = Image.open(io.BytesIO(render(f"image/{kind}")))
    assert (sheet.format or "").lower() == kind
    assert sheet.width > 5
    assert sheet.height >= 4


def test_quality_makes_a_file_smaller():
    noise = np.random.default_rng(0).random((1, 1, 64, 64)).astype(np.float32)
    members = {"images": OutputImages(noise, ImageSpec(channels=1, height=64, width=64))}
    sizes = [len(render("image/jpeg", members, quality)) for quality in (5, 50, None)]
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[2]


def test_an_archive_names_images_by_their_seeds_and_has_the_rest_beside_them():
    archive = zipfile.ZipFile(io.BytesIO(render("application/zip")))
    assert archive.namelist() == ["7.png", "8.png", "answer.json"]
    assert json.loads(archive.read("answer.json")) == {"model": "m", "seeds": [7, 8]}
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(archive.read("8.png")))), PIXELS[1])


def test_images_without_seeds_are_numbered_and_those_that_came_back_have_a_folder():
    members = {"images": IMAGES, "cycle": {"images": IMAGES, "l1": [0.5, 1.0]}}
    archive = zipfile.ZipFile(io.BytesIO(render("application/zip", members)))
    assert archive.namelist() == ["0.png", "1.png", "cycle/0.png", "cycle/1.png", "answer.json"]
    assert json.loads(archive.read("answer.json")) == {"cycle": {"l1": [0.5, 1.0]}}


def test_short_members_are_headers_too():
    given = {
        "model": "m",
        "version": 3,
        "seeds": [7, 8],
        "labels": ["T-shirt/top", "Bäg, r\r\n%"],
        "images": IMAGES,
    }
    assert headers(given) == {
        "X-Latent-Model": "m",
        "X-Latent-Version": "3",
        "X-Latent-Seeds": "7,8",
        "X-Latent-Labels": "T-shirt/top,B%C3%A4g%2C r%0D%0A%25",
    }
    assert headers({"model": None}) == {}


def test_a_list_that_no_client_would_take_is_left_out():
    digits = 9 + 1  # and a comma
    most = (MAX_HEADER_BYTES + 1) // digits
    assert len(headers({"seeds": [10**8] * most})["X-Latent-Seeds"]) <= MAX_HEADER_BYTES
    assert headers({"seeds": [10**8] * (most + 1)}) == {}
