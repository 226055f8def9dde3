"""Distances between clouds of features, against SciPy, torchmetrics and their definitions."""

import numpy as np
import pytest
import torch
from scipy import linalg
from torch import Tensor, nn
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.kid import KernelInceptionDistance

from training.metrics import distributions


class Flat(nn.Module):
    """Features of an image are its numbers."""

    num_features = 12

    def forward(self, images: Tensor) -> Tensor:
        return images.flatten(1).float()


@pytest.fixture
def clouds() -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(0)
    mixing = torch.randn((12, 12), generator=random) / 3
    a = torch.randn((200, 12), generator=random).relu()
    return a, torch.randn((200, 12), generator=random) @ mixing + 0.3


def as_images(rows: Tensor) -> Tensor:
    return rows.view(-1, 3, 2, 2)


def test_the_frechet_distance_equals_scipys_matrix_root_and_torchmetrics(clouds: tuple[Tensor, Tensor]):
    a, b = clouds
    x, y = a.double().numpy(), b.double().numpy()
    cx, cy = np.cov(x.T), np.cov(y.T)
    expected = ((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(cx + cy - 2 * linalg.sqrtm(cx @ cy).real)
    assert distributions.frechet_distance(a, b) == pytest.approx(expected, rel=1e-9)

    theirs = FrechetInceptionDistance(feature=Flat(), normalize=True, input_img_size=(3, 2, 2)).set_dtype(
        torch.float64
    )
    theirs.update(as_images(a), real=True)
    theirs.update(as_images(b), real=False)
    assert distributions.frechet_distance(a, b) == pytest.approx(theirs.compute().item(), rel=1e-5)


def test_the_frechet_distance_of_a_cloud_to_itself_is_zero_even_where_it_is_flat(
    clouds: tuple[Tensor, Tensor],
):
    flat = clouds[0].clone()
    flat[:, 5:] = 0
    assert distributions.frechet_distance(flat, flat) == pytest.approx(0, abs=1e-6)
    assert distributions.frechet_distance(flat[:4], flat[:4]) == pytest.approx(0, abs=1e-6)


def test_the_frechet_distance_of_a_shift_is_its_square(clouds: tuple[Tensor, Tensor]):
    a, _ = clouds
    assert distributions.frechet_distance(a.double(), a.double() + 0.5) == pytest.approx(12 * 0.25, rel=1e-9)


@pytest.mark.filterwarnings("ignore:Metric `Kernel Inception Distance` will save")
def test_the_kernel_distance_equals_torchmetrics_on_whole_samples(clouds: tuple[Tensor, Tensor]):
    a, b = clouds
    theirs = KernelInceptionDistance(feature=Flat(), subsets=1, subset_size=len(a), normalize=True)
    theirs.update(as_images(a), real=True)
    theirs.update(as_images(b), real=False)
    assert distributions.kid(a, b) == pytest.approx(theirs.compute()[0].item(), rel=1e-4)


def test_the_kernel_distance_is_zero_on_average_between_samples_of_one_law():
    random = torch.Generator().manual_seed(0)
    values = [
        distributions.kid(torch.randn((100, 4), generator=random), torch.randn((80, 4), generator=random))
        for _ in range(200)
    ]
    assert abs(np.mean(values)) < 3 * np.std(values) / np.sqrt(len(values))
    assert min(values) < 0 < max(values)


def test_density_and_coverage_equal_their_definition(clouds: tuple[Tensor, Tensor]):
    real, generated = clouds[0].double(), clouds[1][:150].double()
    distances = torch.cdist(real, real)
    radius = distances.sort(1).values[:, 5]
    assert torch.allclose(distributions.radii(real), radius)
    inside = torch.cdist(real, generated) < radius[:, None]
    density, coverage = distributions.density_and_coverage(real, radius, generated)
    assert density == pytest.approx(inside.sum().item() / (5 * 150))
    assert coverage == pytest.approx(inside.any(1).double().mean().item())
    assert 0 < coverage < 1


def test_one_image_repeated_has_density_but_no_coverage():
    real = torch.randn((500, 4), generator=torch.Generator().manual_seed(0))
    prototype = real[real.norm(dim=1).argmin()].expand(500, 4) + 1e-3
    density, coverage = distributions.density_and_coverage(real, distributions.radii(real), prototype)
    assert density > 1
    assert coverage < 0.05
