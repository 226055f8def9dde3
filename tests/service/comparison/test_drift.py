"""The windows over live latents, which all workers share, and what is measured of them."""

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from prometheus_client import REGISTRY

from service.comparison.comparer import NUMBERS, Comparer
from service.comparison.drift import FEWEST, Drift, Windows
from service.inference.model import Model
from service.repository.repository import Repository
from service.settings import Settings
from support.loaded_models import load_tiny
from support.tiny_checkpoints import write_tiny

ROWS = 30
CLASSES = ("a", "b")


class Site:
    """A folder of windows, and models whose latents they keep."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folder = root / "windows"
        self.folder.mkdir()

    def model(self, name: str = "tiny", version: int = 1, **options: Any) -> Model:
        options = {"operations": ("encode",), "reference": CLASSES, **options}
        return load_tiny(
            self.root / f"checkpoints-{len(list(self.root.iterdir()))}", name, version, **options
        )

    def windows(self, worker: int = 0, rows: int = ROWS, versions: int = 2) -> Windows:
        return Windows(self.folder, worker, rows, versions)

    def files(self) -> int:
        return len(list(self.folder.iterdir()))


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def numbered(*numbers: float) -> np.ndarray:
    return np.float32(numbers)[:, None] * np.ones((1, 4), np.float32)


def test_the_newest_latents_are_kept_in_their_order(site: Site):
    windows, model = site.windows(), site.model()
    assert windows.newest(model).shape == (0, 4)
    for number in range(45):
        windows.add(model, numbered(number))
    assert windows.newest(model).tolist() == numbered(*range(15, 45)).tolist()


@pytest.mark.parametrize("count", [ROWS - 1, ROWS, ROWS + 1, 3 * ROWS + 7])
def test_many_at_once_leave_the_last_of_them(site: Site, count: int):
    windows, model = site.windows(), site.model()
    windows.add(model, numbered(-1))
    windows.add(model, numbered(*range(count)))
    kept = [-1, *range(count)][-ROWS:]
    assert sorted(windows.newest(model)[:, 0].tolist()) == kept


def test_every_worker_sees_the_latents_of_all(site: Site):
    model, workers = site.model(), [site.windows(worker) for worker in range(2)]
    for number in range(40):
        workers[number % 2].add(model, numbered(number))
    for worker in workers:
        assert worker.newest(model)[:, 0].tolist() == list(range(10, 40))


def test_a_worker_that_is_replaced_goes_on_where_the_one_before_was(site: Site):
    model = site.model()
    site.windows().add(model, numbered(*range(40)))
    windows = site.windows()
    windows.add(model, numbered(40, 41))
    assert sorted(windows.newest(model)[:, 0].tolist()) == list(range(12, 42))


def test_latents_of_any_shape_are_flat_rows(site: Site):
    windows, model = site.windows(), site.model(latent=(2, 3), reference=CLASSES)
    windows.add(model, np.arange(12, dtype=np.float32).reshape(2, 2, 3))
    assert windows.newest(model).tolist() == [[0, 1, 2, 3, 4, 5], [6, 7, 8, 9, 10, 11]]


def test_each_version_has_a_window_up_to_as_many_as_are_kept(site: Site):
    windows = site.windows(versions=2)
    models = [site.model(version=version) for version in (1, 2, 3)]
    for number, model in enumerate(models):
        windows.add(model, numbered(number))
    windows.add(site.model("other"), numbered(7))
    assert [windows.newest(model)[:, 0].tolist() for model in models] == [[], [1], [2]]
    assert site.files() == 3


def test_nothing_is_kept_where_drift_is_off_or_there_is_no_reference(site: Site):
    plain = site.model("plain", reference=None)
    for windows, model in ((site.windows(rows=0), site.model()), (site.windows(), plain)):
        windows.add(model, numbered(1))
        assert len(windows.newest(model)) == 0
    assert site.files() == 0


def test_one_worker_watches_over_the_metrics(site: Site):
    assert site.windows(0).is_watched
    assert not site.windows(1).is_watched
    assert not site.windows(0, rows=0).is_watched


async def test_drift_is_measured_from_the_fewest_latents_on(site: Site):
    windows, model, comparer = site.windows(), site.model(), Comparer()
    drift = Drift(windows, comparer)
    windows.add(model, np.random.default_rng(0).normal(9, size=(FEWEST - 1, 4)).astype(np.float32))
    found = await drift.measure(model)
    assert found == {"images": FEWEST - 1, "window": ROWS} | dict.fromkeys(NUMBERS)
    windows.add(model, numbered(9))
    found = await drift.measure(model)
    assert found["images"] == FEWEST
    assert found["mmd_p"] == pytest.approx(1 / 1001)
    comparer.stop()


async def test_the_metrics_follow_the_window_and_one_that_cannot_be_read_harms_no_other(
    site: Site, caplog: pytest.LogCaptureFixture
):
    root = site.root / "checkpoints"
    for name in ("broken", "drifting"):
        write_tiny(root, name, operations=("encode",), reference=CLASSES)
    repository = Repository(Settings(checkpoints=root, reload_interval_s=0))
    await repository.start()
    windows, comparer = site.windows(), Comparer()
    for model in repository.now().models():
        windows.add(model, numbered(*range(FEWEST)))
    (broken,) = site.folder.glob("broken*")
    broken.unlink()
    broken.write_bytes(bytes(8 * 3))  # no row is of three numbers
    watching = asyncio.create_task(Drift(windows, comparer).keep_watching(repository, 0.01))
    async with asyncio.timeout(10):
        while REGISTRY.get_sample_value("latent_drift_images", {"model": "drifting"}) != FEWEST:
            await asyncio.sleep(0.01)
    watching.cancel()
    assert "drift of broken cannot be measured" in caplog.text
    comparer.stop()
    await repository.stop()


def test_another_model_in_the_place_of_a_version_begins_anew(site: Site):
    """A version that was written once more may have latents of another length, or of another meaning."""
    windows = site.windows()
    models = [site.model(latent=(size,), seed=seed) for size, seed in ((4, 0), (4, 1), (8, 0))]
    for number, model in enumerate(models):
        windows.add(model, np.full((2, model.manifest.latent.size), number, np.float32))
        assert windows.newest(model)[:, 0].tolist() == [number, number]
    assert windows.newest(models[2]).shape == (2, 8)
