from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from subset import FASHION
from training import generation
from training.data import Dataset, fashion_mnist


@pytest.fixture(scope="session")
def fashion() -> Dataset:
    """The first images of Fashion-MNIST, 512 for training and 256 for testing."""
    return fashion_mnist(FASHION)


@pytest.fixture(autouse=True, scope="session")
def few_paths() -> Iterator[None]:
    """Judge ways between latents by 100 of them: with 256 test images 2,000 would say no more."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(generation, "PATHS", 100)
        yield


@pytest.fixture(autouse=True)
def two_threads() -> None:
    torch.set_num_threads(2)


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder: runs/ and checkpoints/ are made in it."""
    monkeypatch.chdir(tmp_path)
    return tmp_path
