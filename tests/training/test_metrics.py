import numpy as np
import pytest
import torch
from scipy import ndimage
from sklearn.decomposition import PCA

from training import metrics
from training.data import Dataset, to_range


@pytest.fixture
def images(fashion: Dataset) -> torch.Tensor:
    return to_range(fashion.train.pixels[:64], (0.0, 1.0))


def test_pca_error_equals_scikit_learns(images: torch.Tensor):
    train, test = images[:48], images[48:]
    flat = test.flatten(1).double().numpy()
    pca = PCA(16, svd_solver="full").fit(train.flatten(1).double().numpy())
    expected = ((flat - pca.inverse_transform(pca.transform(flat))) ** 2).mean()
    assert metrics.pca_mse(train, test, 16) == pytest.approx(expected, rel=1e-6)


def test_ssim_equals_its_definition_on_filtered_images(images: torch.Tensor):
    noisy = (images + 0.1 * torch.randn(images.shape, generator=torch.Generator().manual_seed(0))).clamp(0, 1)

    def blur(x: np.ndarray) -> np.ndarray:
        return ndimage.gaussian_filter(x, 1.5, radius=5)[5:-5, 5:-5]

    values = []
    for a, b in zip(images[:, 0].double().numpy(), noisy[:, 0].double().numpy(), strict=True):
        ma, mb = blur(a), blur(b)
        va, vb, cov = blur(a * a) - ma**2, blur(b * b) - mb**2, blur(a * b) - ma * mb
        top = (2 * ma * mb + 1e-4) * (2 * cov + 9e-4)
        values.append((top / ((ma**2 + mb**2 + 1e-4) * (va + vb + 9e-4))).mean())
    assert metrics.ssim(images, noisy) == pytest.approx(np.mean(values), abs=1e-4)
    assert metrics.ssim(images, images) == pytest.approx(1.0)


def test_psnr_of_a_known_error():
    black = torch.zeros(2, 1, 28, 28)
    assert metrics.psnr(black, black + 0.1) == pytest.approx(20.0, abs=1e-3)


def test_rounding_leaves_256_levels():
    images = torch.rand(1, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    levels = metrics.rounded(images, 0.0, torch.Generator()) * 255
    assert torch.allclose(levels, levels.round(), atol=1e-4)
