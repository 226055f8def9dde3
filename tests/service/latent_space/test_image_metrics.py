import numpy as np
import pytest
import torch

from service.latent_space import image_metrics
from training.metrics import image_metrics as torch_metrics


def pairs(shape, noise=0.1, seed=0):
    random = np.random.default_rng(seed)
    images = random.random(shape, np.float32)
    others = (images + noise * random.standard_normal(shape, np.float32)).clip(0, 1)
    return images, others


@pytest.mark.parametrize("shape", [(5, 1, 28, 28), (3, 3, 32, 20), (2, 1, 11, 11)])
def test_each_measure_is_what_training_measures(shape):
    images, others = pairs(shape)
    for i, (mse, psnr, ssim) in enumerate(
        zip(
            image_metrics.mse(images, others),
            image_metrics.psnr(images, others),
            image_metrics.ssim(images, others),
            strict=True,
        )
    ):
        a, b = torch.from_numpy(images[i : i + 1]), torch.from_numpy(others[i : i + 1])
        assert mse == pytest.approx(torch_metrics.mse(a, b), rel=1e-5)
        assert psnr == pytest.approx(torch_metrics.psnr(a, b), rel=1e-5)
        assert ssim == pytest.approx(torch_metrics.ssim(a, b), abs=1e-4)


@pytest.mark.parametrize("shape", [(2, 1, 28, 28), (2, 3, 5, 4), (2, 1, 1, 1)])
def test_identical_images_have_no_error_no_psnr_and_ssim_one(shape):
    images, _ = pairs(shape)
    assert image_metrics.mse(images, images).tolist() == [0, 0]
    assert image_metrics.psnr(images, images) == [None, None]
    assert image_metrics.ssim(images, images) == pytest.approx([1, 1])


def test_black_against_white_is_the_worst():
    black, white = np.zeros((1, 1, 28, 28), np.float32), np.ones((1, 1, 28, 28), np.float32)
    assert image_metrics.mse(black, white).tolist() == [1]
    assert image_metrics.psnr(black, white) == [0]
    assert image_metrics.ssim(black, white)[0] == pytest.approx(0.01**2 / (1 + 0.01**2))


def test_more_noise_means_less_similarity():
    scores = [image_metrics.ssim(*pairs((4, 1, 28, 28), noise)).mean() for noise in (0.01, 0.1, 0.5)]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] - scores[2] > 0.2


@pytest.mark.parametrize("shape", [(2, 1, 10, 28), (2, 1, 4, 4), (1, 3, 2, 1)])
def test_images_smaller_than_the_window_have_a_finite_ssim(shape):
    scores = image_metrics.ssim(*pairs(shape))
    assert np.isfinite(scores).all()
    assert (scores < 1).all()


def test_a_pair_scores_the_same_alone_and_among_others():
    images, others = pairs((6, 3, 28, 28))
    assert image_metrics.ssim(images, others)[3] == image_metrics.ssim(images[3:4], others[3:4])[0]
    assert image_metrics.mse(images, others)[3] == image_metrics.mse(images[3:4], others[3:4])[0]
