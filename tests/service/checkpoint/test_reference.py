"""What a reference file says, and which ones are refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from service import checkpoint
from service.checkpoint import CheckpointError, reference
from service.checkpoint.reference import Reference
from support.tiny_checkpoints import describe_tiny, reference_arrays, to_npz, write_tiny

CLASSES = ("a", "b", "c")
Change = dict[str, NDArray[Any] | None]


@pytest.fixture
def known() -> Reference:
    return reference.read(reference_arrays(4, 3), CLASSES, 4)


def test_neighbours_are_those_of_all_distances(known: Reference):
    given = np.random.default_rng(1).normal(size=(5, 4)).astype(np.float32)
    rows, distances = known.nearest(given, 7)
    all_of_them = np.linalg.norm(given[:, None] - known.latents[None], axis=2)
    assert (rows == all_of_them.argsort(axis=1)[:, :7]).all()
    np.testing.assert_allclose(distances, np.sort(all_of_them, axis=1)[:, :7], rtol=1e-5)


def test_a_latent_of_its_own_is_its_nearest_neighbour_at_no_distance(known: Reference):
    rows, distances = known.nearest(known.latents, 1)
    assert rows[:, 0].tolist() == list(range(60))
    np.testing.assert_allclose(distances, 0, atol=1e-3)


def test_the_map_is_a_projection_that_decodes_back(known: Reference):
    positions = known.positions(known.latents)
    np.testing.assert_allclose(positions, known.latents[:, :2] - 0.5, rtol=1e-6)
    again = known.positions(known.centre + positions @ known.axes)
    np.testing.assert_allclose(again, positions, atol=1e-6)


def test_the_mean_of_a_class_is_that_of_its_rows(known: Reference):
    np.testing.assert_allclose(known.class_mean(2), known.latents[2::3].mean(axis=0), rtol=1e-6)


@pytest.mark.parametrize(
    ("distance", "error", "expected"),
    [
        (0.5, 0.005, 1.0),  # nearer than all of them, better than all of them
        (99.0, 0.005, 2 * 2 / 100),  # as far as the last of 99
        (1000.0, 0.005, 2 * 1 / 100),
        (0.5, 2.0, 2 * 1 / 100),
        (50.0, 0.005, 1.0),
    ],
)
def test_typicality_is_twice_the_smaller_conformal_p_value(
    known: Reference, distance: float, error: float, expected: float
):
    latent = np.array([[distance, 0, 0, 0]], np.float32)
    found = known.typicality(latent, np.array([error], np.float32))
    assert found[0] == pytest.approx(expected)


def test_without_a_reconstruction_the_distance_alone_counts(known: Reference):
    latent = np.array([[99.0, 0, 0, 0]], np.float32)
    assert known.typicality(latent, None)[0] == pytest.approx(2 / 100)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"latents": None}, "latents is missing"),
        ({"latents": np.zeros((60, 5), np.float32)}, "latents is not of the type and shape"),
        ({"latents": np.zeros((60, 4), np.float64)}, "latents is not of the type and shape"),
        ({"latents": np.full((60, 4), np.nan, np.float32)}, "latents has numbers that are not finite"),
        ({"labels": np.full(60, 3)}, "labels are not the indices of the classes"),
        ({"labels": np.full(60, -1)}, "labels are not the indices of the classes"),
        ({"labels": np.zeros(60, np.int64)}, "labels are not the indices of the classes"),
        ({"thumbnails": np.zeros((60, 8, 65), np.uint8)}, "not one small image per latent"),
        ({"thumbnails": np.zeros((59, 8, 8), np.uint8)}, "not one small image per latent"),
        ({"thumbnails": np.zeros((60, 8), np.uint8)}, "not one small image per latent"),
        ({"thumbnails": np.zeros((60, 8, 8, 4), np.uint8)}, "not one small image per latent"),
        ({"distances": np.array([2, 1], np.float32)}, "distances do not ascend"),
        ({"distances": np.zeros(0, np.float32)}, "distances are missing"),
        ({"axes": np.zeros((3, 4), np.float32)}, "axes is not of the type and shape"),
    ],
)
def test_a_reference_that_lies_is_refused_by_name(tmp_path: Path, change: Change, said: str):
    description, files = describe_tiny(reference=CLASSES)
    arrays = reference_arrays(4, 3) | change
    files["reference.npz"] = to_npz({name: value for name, value in arrays.items() if value is not None})
    folder = checkpoint.write(tmp_path, description, files)
    with pytest.raises(CheckpointError, match=f"reference.npz: .*{said}"):
        checkpoint.read(folder)


def test_a_whole_one_is_read(tmp_path: Path):
    found = checkpoint.read(write_tiny(tmp_path, reference=CLASSES)).reference
    assert found is not None
    assert found.classes == CLASSES
    assert checkpoint.read(write_tiny(tmp_path, "plain")).reference is None
