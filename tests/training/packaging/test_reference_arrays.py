"""The reference of a checkpoint: balanced, whitened, and added to one that has none."""

from pathlib import Path

import numpy as np
import pytest
import torch

from service import checkpoint
from support.fashion_subset import FASHION
from support.service_process import shipped
from training.cli.commands import main
from training.data.datasets import Dataset
from training.packaging.reference_arrays import balanced, plane, thumbnails, whitened


def test_every_class_has_as_many_rows(fashion: Dataset):
    chosen = balanced(fashion.train, len(fashion.classes), 100)
    assert chosen.labels.bincount().tolist() == [10] * 10
    again = balanced(fashion.train, len(fashion.classes), 100)
    assert torch.equal(chosen.pixels, again.pixels)


def test_the_rarest_class_limits_all(fashion: Dataset):
    few = fashion.train[
        torch.cat([torch.where(fashion.train.labels == label)[0][: label + 2] for label in range(10)])
    ]
    assert balanced(few, 10, 2000).labels.bincount().tolist() == [2] * 10


def test_whitened_latents_have_the_covariance_of_a_standard_normal():
    rng = np.random.default_rng(0)
    latents = (rng.normal(size=(5000, 3)) @ rng.normal(size=(3, 3)) + [1, 2, 3]).astype(np.float32)
    mean, whitening = whitened(latents)
    np.testing.assert_allclose(np.cov((latents - mean) @ whitening, rowvar=False), np.eye(3), atol=0.01)


def test_a_number_that_never_changes_is_no_obstacle():
    latents = np.random.default_rng(0).normal(size=(100, 3)).astype(np.float32)
    latents[:, 1] = 0
    assert np.isfinite(whitened(latents)[1]).all()


@pytest.mark.parametrize("size", [1, 2, 5])
def test_the_axes_of_the_map_are_orthonormal_and_widest(size: int):
    latents = (np.random.default_rng(0).normal(size=(500, size)) * np.arange(1, size + 1)).astype(np.float32)
    centre, axes = plane(latents)
    assert centre.shape == (size,)
    if size == 2:
        assert (axes == np.eye(2)).all()
    elif size == 5:
        np.testing.assert_allclose(axes @ axes.T, np.eye(2), atol=1e-5)
        np.testing.assert_allclose(np.abs(axes[:, 3:]).max(axis=1), 1, atol=0.1)


def test_thumbnails_are_small_and_as_the_images_are():
    grey = torch.arange(2 * 28 * 28).reshape(2, 1, 28, 28).to(torch.uint8)
    assert (thumbnails(grey) == grey[:, 0].numpy()).all()
    colour = torch.full((2, 3, 64, 64), 77, dtype=torch.uint8)
    assert thumbnails(colour).shape == (2, 32, 32, 3)
    assert (thumbnails(colour) == 77).all()


@pytest.mark.slow
def test_a_packaged_autoencoder_has_one_and_another_can_be_given_one(workplace: Path):
    small = ["--updates", "2", "--batch-size", "16", "--path", str(FASHION), "--name", "tried"]
    assert main(["fit", "vae", *small]) == 0
    first = workplace / "checkpoints" / "tried" / "1"
    found = checkpoint.read(first)
    assert found.reference is not None
    assert len(found.reference.classes) == 10
    assert len(found.reference.distances) == len(found.reference.errors) == 128
    assert main(["reference", str(first)]) == 0
    second = checkpoint.read(workplace / "checkpoints" / "tried" / "2")
    assert second.reference is not None
    np.testing.assert_allclose(second.reference.latents, found.reference.latents, atol=1e-5)
    assert second.manifest.metrics == found.manifest.metrics


def test_a_generator_is_told_that_it_needs_none(workplace: Path, capsys: pytest.CaptureFixture[str]):
    root = Path(__file__).parents[3]
    (workplace / "docs").symlink_to(root / "docs")
    assert main(["reference", str(shipped("bags-boots"))]) == 1
    assert "has no latent space" in capsys.readouterr().err
