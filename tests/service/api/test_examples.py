"""The examples of the documentation: each is a file of what it is called, and shows the same boot."""

import base64
import json

import numpy as np
import pytest

from service.api import examples
from service.checkpoint.manifest import ImageSpec
from service.media import images, npy, zip_archives

SPEC = ImageSpec(channels=1, height=28, width=28)
BOOT = examples.boot() / np.float32(255)
FILES = examples.files()


def test_the_boot_is_of_the_size_of_the_shipped_models():
    assert (BOOT.shape, examples.boot().max()) == ((28, 28), 200)


@pytest.mark.parametrize(("kind", "loss"), [("png", 0), ("webp", 0), ("jpg", 0.1)])
def test_a_file_holds_the_boot(kind: str, loss: float):
    media_type, raw = FILES[f"boot.{kind}"]
    assert media_type == f"image/{'jpeg' if kind == 'jpg' else kind}"
    np.testing.assert_allclose(images.decode(raw, SPEC, 1 << 20)[0], BOOT, atol=loss + 1e-6)


def test_several_hold_it_and_its_mirror_image():
    both = np.stack([examples.boot(), examples.boot()[:, ::-1]])
    assert np.array_equal(npy.read(FILES["boots.npy"][1], np.uint8, (3,)), both)
    archive = [raw for _, raw in zip_archives.read(FILES["boots.zip"][1], 2, 1 << 20)]
    lines = [json.loads(line)["image"] for line in FILES["boots.ndjson"][1].splitlines()]
    assert [base64.b64decode(one) for one in lines] == archive
    for raw, pixels in zip(archive, both, strict=True):
        np.testing.assert_allclose(images.decode(raw, SPEC, 1 << 20)[0], pixels / 255, atol=1e-6)


def test_the_example_of_json_is_the_same_file():
    assert base64.b64decode(examples.boot_base64()) == FILES["boot.png"][1]


def test_latents_are_those_of_the_shipped_models():
    (latent,) = npy.read(FILES[examples.LATENTS][1], np.float32, (2,)).tolist()
    assert [latent] == examples.latents()
    assert len(latent) == 16


def test_every_media_type_has_its_file():
    assert {FILES[name][0] for name in examples.FILES.values()} == set(examples.FILES)
    assert all(FILES[name][0] == kind for kind, name in examples.FILES.items())
