import numpy as np
import pytest
import torch

from service.latent_space.interpolation import nearest, walk
from training.metrics import interpolation

RNG = np.random.default_rng(0)
STOPS = RNG.normal(size=(3, 8)).astype(np.float32)


@pytest.mark.parametrize("path", ["slerp", "linear"])
def test_a_walk_passes_its_stops(path: str) -> None:
    walked = walk(STOPS, 9, path)
    assert walked.shape == (9, 8)
    np.testing.assert_allclose(walked[[0, 4, 8]], STOPS, atol=1e-6)


@pytest.mark.parametrize(
    ("path", "other"), [("slerp", interpolation.spherical), ("linear", interpolation.linear)]
)
def test_it_is_the_way_that_training_judges(path: str, other) -> None:
    t = torch.linspace(0, 1, 5)[:, None]
    a, b = (torch.from_numpy(row).expand(5, -1) for row in STOPS[:2])
    np.testing.assert_allclose(walk(STOPS[:2], 5, path), other(a, b, t).numpy(), atol=1e-5)


def test_the_great_circle_keeps_the_length_and_the_straight_way_does_not() -> None:
    stops = STOPS[:2] / np.linalg.norm(STOPS[:2], axis=1, keepdims=True)
    np.testing.assert_allclose(np.linalg.norm(walk(stops, 7, "slerp"), axis=1), 1, atol=1e-6)
    assert np.linalg.norm(walk(stops, 7, "linear"), axis=1).min() < 0.95


@pytest.mark.parametrize("scale", [1.0, -1.0, 0.0])
def test_stops_in_one_line_are_joined_straight(scale: float) -> None:
    stops = np.stack([STOPS[0], scale * STOPS[0]])
    np.testing.assert_allclose(walk(stops, 3, "slerp")[1], (1 + scale) / 2 * STOPS[0], atol=1e-6)


def test_one_stop_is_repeated_and_one_step_is_the_first_stop() -> None:
    np.testing.assert_array_equal(walk(STOPS[:1], 3, "slerp"), np.repeat(STOPS[:1], 3, axis=0))
    np.testing.assert_array_equal(walk(STOPS, 1, "slerp"), STOPS[:1])


def test_each_step_has_its_nearest_stop() -> None:
    assert nearest(3, 9).tolist() == [0, 0, 1, 1, 1, 1, 2, 2, 2]
    assert nearest(1, 2).tolist() == [0, 0]
