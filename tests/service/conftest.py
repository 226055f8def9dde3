"""A running service with one small model of each kind, as the tests of the HTTP parts use it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from httpx import Client

from service import checkpoint
from support.service_process import ServiceProcess
from support.tiny_checkpoints import describe_tiny, write_tiny

CLASSES = ("T-shirt/top", "Bag", "Ankle boot")


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """vae encodes and decodes, cgan draws classes, bags-boots translates; the others lack something."""
    root = tmp_path_factory.mktemp("checkpoints")
    write_tiny(root, "vae", logvar=True, default_for=("encode", "decode"), reference=CLASSES)
    write_tiny(root, "cgan", operations=("generate",), classes=CLASSES, default_for=("generate",))
    write_tiny(root, "cgan-any", operations=("generate",), classes=CLASSES, null_label="any")
    write_tiny(root, "colour", operations=("encode", "decode"), channels=3, size=16, latent=(2, 3))
    write_tiny(root, "bags-boots", operations=(), domains=("bags", "boots"), default_for=("translate",))
    write_tiny(root, "any-size", operations=("encode",), size=None, stride=4)
    description, files = describe_tiny("noisy-clean", operations=(), domains=("noisy", "clean"))
    del description["operations"]["translate"]["noisy"]
    checkpoint.write(root, description, files)
    return root


@pytest.fixture(scope="session")
def client(checkpoints: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A client of one running service that all tests share."""
    log = tmp_path_factory.mktemp("log") / "service.log"
    with ServiceProcess(checkpoints, log, max_images=4, max_count=16) as process, process.client() as opened:
        yield opened
