import pytest
import torch

from training import divergences
from training.randomness import generator

torch_double = {"dtype": torch.float64}


def normal(purpose: str, *shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=generator(0, purpose), dtype=torch.float64)


@pytest.fixture
def samples() -> tuple[torch.Tensor, torch.Tensor]:
    return normal("a", 9, 3), 0.5 + 1.5 * normal("b", 7, 3)


def test_mmd_with_the_inverse_multiquadric_equals_a_double_loop(samples):
    a, b = samples
    scales = (0.1, 1.0, 10.0)

    def k(x: torch.Tensor, y: torch.Tensor) -> float:
        square = float(sum((x - y) ** 2))
        return sum(2 * 3 * s / (2 * 3 * s + square) for s in scales)

    within_a = [k(x, y) for i, x in enumerate(a) for j, y in enumerate(a) if i != j]
    within_b = [k(x, y) for i, x in enumerate(b) for j, y in enumerate(b) if i != j]
    between = [k(x, y) for x in a for y in b]
    expected = sum(within_a) / len(within_a) + sum(within_b) / len(within_b) - 2 * sum(between) / len(between)
    found = divergences.mmd(a, b, divergences.inverse_multiquadric(scales))
    assert found.item() == pytest.approx(expected, rel=1e-10)
