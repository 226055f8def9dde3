import numpy as np
import pytest
import torch
from scipy import ndimage
from sklearn.decomposition import PCA
from torchmetrics.image import PeakSignalNoiseRatio, StructuralSimilarityIndexMeasure

from training.data.datasets import Dataset
from training.metrics import image_metrics
from training.metrics import pca as our_pca


@pytest.fixture
def images(fashion: Dataset) -> torch.Tensor:
    return fashion.train[:64].unit()


def test_pca_error_equals_scikit_learns(images: torch.Tensor):
    train, test = images[:48], images[48:]
    flat = test.flatten(1).double().numpy()
    pca = PCA(16, svd_solver="full").fit(train.flatten(1).double().numpy())
    expected = ((flat - pca.inverse_transform(pca.transform(flat))) ** 2).mean()
    assert our_pca.pca_mse(train, test, 16) == pytest.approx(expected, rel=1e-6)


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
    assert image_metrics.ssim(images, noisy) == pytest.approx(np.mean(values), abs=1e-4)
    assert image_metrics.ssim(images, images) == pytest.approx(1.0)


def test_psnr_of_a_known_error():
    black = torch.zeros(2, 1, 28, 28)
    assert image_metrics.psnr(black, black + 0.1) == pytest.approx(20.0, abs=1e-3)


def test_rounding_leaves_256_levels():
    images = torch.rand(1, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    levels = image_metrics.rounded(images, 0.0, torch.Generator()) * 255
    assert torch.allclose(levels, levels.round(), atol=1e-4)


def test_psnr_and_ssim_equal_torchmetrics(images: torch.Tensor):
    noisy = (images + 0.1 * torch.randn(images.shape, generator=torch.Generator().manual_seed(1))).clamp(0, 1)
    theirs = StructuralSimilarityIndexMeasure(data_range=1.0, sigma=1.5, return_full_image=True)
    _, whole = theirs(noisy.double(), images.double())
    inside = whole[:, :, 5:-5, 5:-5].mean().item()  # where the window lies in the image, without padding
    assert image_metrics.ssim(images, noisy) == pytest.approx(inside, abs=1e-4)
    each = PeakSignalNoiseRatio(data_range=1.0, reduction="elementwise_mean", dim=(1, 2, 3))
    assert image_metrics.psnr(images, noisy) == pytest.approx(each(noisy, images).item(), rel=1e-5)


@pytest.mark.parametrize("shape", [(40, 1, 8, 8), (300, 1, 8, 8), (200, 3, 6, 6)])
def test_pca_latents_and_what_they_give_back_equal_scikit_learns(shape: tuple[int, ...]):
    images = torch.rand(shape, generator=torch.Generator().manual_seed(0)) ** 3
    flat = images.flatten(1).double().numpy()
    theirs = PCA(12, svd_solver="full").fit(flat)
    ours = our_pca.PCA.fit(images, 20)
    latents = ours.project(images, 12).numpy()
    assert np.abs(latents) == pytest.approx(np.abs(theirs.transform(flat)), abs=1e-8)
    rebuilt = ours.rebuilt(images, 12).flatten(1).numpy()
    assert rebuilt == pytest.approx(theirs.inverse_transform(theirs.transform(flat)), abs=1e-5)


def test_pca_of_few_images_has_no_more_directions_than_they_span():
    images = torch.rand((5, 1, 8, 8), generator=torch.Generator().manual_seed(0))
    ours = our_pca.PCA.fit(images, 16)
    assert ours.components.shape == (4, 64)
    assert ours.mse(images, 16) == pytest.approx(0, abs=1e-12)


def test_pca_of_large_images_finds_the_same_span(images: torch.Tensor):
    many = images.repeat(20, 1, 1, 1) + 0.05 * torch.randn(
        (1280, 1, 28, 28), generator=torch.Generator().manual_seed(0)
    )
    ours = our_pca.PCA.fit(many, 8)  # too many pixels for so few images: it is randomised
    assert ours.mse(many, 8) == pytest.approx(error_of_scikit_learn(many, 8), rel=1e-6)
    assert ours.mse(many, 3) == pytest.approx(error_of_scikit_learn(many, 3), rel=1e-5)


def error_of_scikit_learn(images: torch.Tensor, dimensions: int) -> float:
    flat = images.flatten(1).double().numpy()
    theirs = PCA(dimensions, svd_solver="full").fit(flat)
    return float(((flat - theirs.inverse_transform(theirs.transform(flat))) ** 2).mean())


def test_principal_components_come_by_falling_variance_and_leave_the_rows_as_they_were():
    random = torch.Generator().manual_seed(0)
    drawn = torch.randn((300, 12), generator=random, dtype=torch.float64)
    rows = drawn @ torch.randn((12, 12), generator=random, dtype=torch.float64) + 5
    before = rows.clone()
    pca = our_pca.PCA.fit(rows, 4)
    assert torch.equal(rows, before)
    singular = torch.linalg.svdvals(rows - rows.mean(0)).square()
    torch.testing.assert_close(pca.shares, singular[:4] / singular.sum())
    torch.testing.assert_close(pca.project(rows, 4).var(0), singular[:4] / 299)
    assert (pca.shares.diff() < 0).all()


def test_rows_that_are_all_equal_have_no_variance_to_show():
    pca = our_pca.PCA.fit(torch.full((20, 5), 3.0), 2)
    assert pca.shares.tolist() == [0, 0]
    assert pca.project(torch.full((1, 5), 3.0), 2).tolist() == [[0, 0]]
