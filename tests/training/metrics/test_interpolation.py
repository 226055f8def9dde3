import math

import pytest
import torch

from training.metrics.interpolation import linear, spherical

A = torch.tensor([[3.0, 0.0], [1.0, 2.0]])
B = torch.tensor([[0.0, 5.0], [1.0, 2.0]])


@pytest.mark.parametrize("way", [linear, spherical])
def test_a_way_begins_and_ends_where_it_should_and_stays_where_both_are_the_same(way):
    for t, end in ((0.0, A), (1.0, B)):
        assert torch.allclose(way(A, B, torch.full((2, 1), t)), end, atol=1e-5)
    assert torch.allclose(way(A, B, torch.full((2, 1), 0.3))[1], A[1], atol=1e-5)


def test_the_spherical_way_turns_and_grows_evenly():
    t = torch.tensor([[0.0], [0.25], [0.5], [1.0]])
    rows = spherical(A[:1].expand(4, -1), B[:1].expand(4, -1), t)
    angles = torch.atan2(rows[:, 1], rows[:, 0])
    assert angles.tolist() == pytest.approx([0, math.pi / 8, math.pi / 4, math.pi / 2], abs=1e-5)
    assert rows.norm(dim=1).tolist() == pytest.approx([3, 3.5, 4, 5], rel=1e-5)


def test_draws_on_the_spherical_way_are_as_long_as_draws():
    a, b = torch.randn((2, 500, 64), generator=torch.Generator().manual_seed(0))
    half = torch.full((500, 1), 0.5)
    assert spherical(a, b, half).norm(dim=1).mean().item() == pytest.approx(8, rel=0.05)
    assert linear(a, b, half).norm(dim=1).mean().item() == pytest.approx(8 / math.sqrt(2), rel=0.05)


def test_opposite_latents_have_a_finite_way():
    assert torch.isfinite(spherical(A, -A, torch.full((2, 1), 0.5))).all()
