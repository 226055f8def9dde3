import functools
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch.onnx._internal.exporter._registration import ONNXRegistry

from support.fashion_subset import FASHION
from training.data.datasets import Dataset, fashion_mnist
from training.evaluation import evaluate, generated_images


@pytest.fixture(scope="session")
def fashion() -> Dataset:
    """The first images of Fashion-MNIST, 512 for training and 256 for testing."""
    return fashion_mnist(FASHION)


@pytest.fixture(autouse=True, scope="session")
def few_samples() -> Iterator[None]:
    """Judge by few images, draws and ways between latents: enough where metrics are not the point."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(generated_images, "SAMPLES", 128)
        patch.setattr(generated_images, "PATHS", 50)
        patch.setattr(evaluate, "SAMPLES", 300)
        yield


@pytest.fixture(autouse=True, scope="session")
def one_table_of_operators() -> Iterator[None]:
    """Let the exporter read its operators once: it does so for every graph, which takes most of its time."""
    once = staticmethod(functools.cache(ONNXRegistry.from_torchlib))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ONNXRegistry, "from_torchlib", once)
        yield


@pytest.fixture(scope="session")
def judges(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the judges of all tests are kept, in whatever process, since each takes a while to train."""
    own = tmp_path_factory.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "judges"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(autouse=True)
def same_threads() -> Iterator[None]:
    """Undo what a command sets."""
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def workplace(tmp_path: Path, judges: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder without runs and checkpoints: they are made in it."""
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "judges").symlink_to(judges)
    monkeypatch.chdir(tmp_path)
    return tmp_path
