import math

import pytest
import torch

from training.data.corruption import NOISES
from training.metrics.pca import PCA
from training.recipes.denoiser import PIXEL_LOSSES
from training.recipes.linear_maps import Maps, covariance, descend, gradients, largest_angle_deg, start
from training.runtime.randomness import generator
from training.studies import denoising, linear_autoencoder, manifold, score
from training.studies.maths.manifold import Fit, clean_points, noisy_points, train


@pytest.fixture(scope="module")
def rows():
    """300 centred rows of 12 numbers with unequal variances."""
    drawn = torch.randn(300, 12, generator=generator(0, "rows"), dtype=torch.float64)
    mixing = torch.randn(12, 12, generator=generator(0, "mixing"), dtype=torch.float64)
    data = drawn @ mixing
    return data - data.mean(0)


def test_error_through_the_covariance_is_the_mean_over_all_images(rows):
    maps = start(12, 3, 1.0, seed=1)
    direct = (rows - rows @ maps.v.T @ maps.w.T).square().sum(1).mean()
    torch.testing.assert_close(maps.error(covariance(rows, rows.mean(0))), direct)


def test_written_gradients_of_the_linear_autoencoder_are_autograds(rows):
    maps = start(12, 3, 1.0, seed=2)
    v, w = (part.clone().requires_grad_() for part in (maps.v, maps.w))
    automatic = torch.autograd.grad((rows - rows @ v.T @ w.T).square().sum(1).mean(), (v, w))
    written = gradients(maps, covariance(rows, rows.mean(0)))
    torch.testing.assert_close(written.v, automatic[0], rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(written.w, automatic[1], rtol=1e-10, atol=1e-10)


def test_descent_ends_at_principal_components(rows):
    seen = covariance(rows, rows.mean(0))
    components = PCA.fit(rows, 3).components.T
    maps = descend(start(12, 3, 0.1, seed=0), seen, 3000, 1000).maps
    assert float(maps.error(seen)) == pytest.approx(
        float(Maps(components.T, components).error(seen)), rel=1e-6
    )
    assert largest_angle_deg(maps.w, components) < 0.1
    assert linear_autoencoder.off_diagonal(maps.w.T @ maps.w) > 0.01


@pytest.mark.parametrize("degrees", [0.0, 30.0, 90.0])
def test_largest_angle_is_in_degrees(degrees):
    turned = (
        torch.tensor([[math.cos(math.radians(degrees)), math.sin(math.radians(degrees)), 0.0]]).double().T
    )
    axis = torch.tensor([[1.0, 0.0, 0.0]]).double().T
    assert largest_angle_deg(turned, axis) == pytest.approx(degrees, abs=1e-5)


def test_shuffling_columns_keeps_values_and_takes_correlation_away(rows):
    shuffled = linear_autoencoder.shuffle_columns(rows, 0)
    assert torch.equal(shuffled.sort(0).values, rows.sort(0).values)
    assert linear_autoencoder.off_diagonal(covariance(rows, rows.mean(0))) > 0.6
    assert linear_autoencoder.off_diagonal(covariance(shuffled, rows.mean(0))) < 0.3


def test_of_uncorrelated_numbers_a_linear_latent_keeps_its_share():
    d, k = 20, 5
    seen, unseen = (torch.randn(20_000, d, generator=generator(0, name)).double() for name in ("a", "b"))
    components = PCA.fit(seen, k).components.T
    rebuild = linear_autoencoder.projection(components.T, components, seen.mean(0))
    assert linear_autoencoder.residual(rebuild(unseen), unseen) == pytest.approx(1 - k / d, abs=0.01)


def test_data_sets_of_the_uncorrelated_table_have_unit_variance(fashion):
    train, test = (part.unit() for part in (fashion.train, fashion.test))
    # The real subset is too small for corners that are nearly always black: a lit one is enough.
    lit = torch.zeros_like(train)
    lit[0] = 1
    for name, (seen, _) in linear_autoencoder.data_sets((train + lit).clamp(0, 1), test).items():
        assert float(seen.var()) == pytest.approx(1, abs=0.02), name


@pytest.fixture
def small_denoising(monkeypatch, workplace):
    small = denoising.SETTINGS | {"width": 4, "latent_dim": 4, "updates": 2, "batch_size": 8}
    monkeypatch.setattr(denoising, "SETTINGS", small)
    monkeypatch.setattr(denoising, "TEST_IMAGES", 16)


def cell(fashion, kind="mask", loss="l1"):
    train, test = denoising.to_unit_images(fashion)
    return denoising.cell(kind, loss, fashion, train, denoising.spoil(test, kind, "test"), test)


def test_denoising_run_is_fetched_when_it_is_there(small_denoising, fashion, monkeypatch):
    first = cell(fashion)
    monkeypatch.setattr(denoising, "restorer", lambda *_: pytest.fail("trained again"))
    second = cell(fashion)
    assert first.metrics == second.metrics
    assert torch.equal(first.shown, second.shown)


def test_denoising_run_is_trained_anew_when_its_settings_change(small_denoising, fashion, monkeypatch):
    first = cell(fashion)
    monkeypatch.setattr(denoising, "SETTINGS", denoising.SETTINGS | {"updates": 3})
    assert cell(fashion).metrics != first.metrics


def test_denoising_runs_are_deterministic(small_denoising, fashion, monkeypatch, tmp_path):
    first = cell(fashion)
    monkeypatch.setattr(denoising, "STUDY_RUNS", tmp_path / "elsewhere")
    assert cell(fashion).metrics == first.metrics


@pytest.mark.parametrize(("kind", "expected"), [("salt-and-pepper", "median"), ("mask", "Gaussian blur")])
def test_best_filter_is_the_one_for_the_noise(fashion, kind, expected):
    train, _ = denoising.to_unit_images(fashion)
    assert denoising.best_filter(train[:32], kind)[0].startswith(expected)


def test_whole_denoising_study_has_every_cell(small_denoising, fashion, monkeypatch):
    monkeypatch.setattr(denoising, "fashion_mnist", lambda: fashion)
    monkeypatch.setattr(denoising, "FILTER_IMAGES", 8)
    suits, runs, _ = denoising.run().parts
    assert [row[0] for row in suits.rows] == list(NOISES)
    assert len(runs.rows) == len(NOISES) * (2 + len(PIXEL_LOSSES))


def test_winner_by_psnr_is_the_largest():
    ways = {
        loss: denoising.Outcome((error, error, -error), torch.empty(0))
        for error, loss in enumerate(PIXEL_LOSSES)
    }
    assert [denoising.winner(ways, index) for index in range(3)] == ["mse"] * 3


def test_manifold_study_says_where_no_mean_exists():
    clean = clean_points(50, generator(0, "clean"))
    noisy = {kind: noisy_points(clean, kind, 0.1, generator(0, kind)) for kind in manifold.KINDS}
    networks = {
        (kind, loss): train(Fit(kind, 0.1, loss, updates=1))
        for kind in manifold.KINDS
        for loss in manifold.LOSSES
    }
    bench = manifold.Bench(clean, noisy, networks)
    shown = {(row[0], row[1]): row[-1] for row in manifold.loss_table(bench).rows}
    assert shown["cauchy", "(noisy points)"] == manifold.NONE
    assert sum(value == manifold.NONE for value in shown.values()) == 1
    assert [row[2] == manifold.NONE for row in manifold.bayes_table(bench).rows] == [
        False,
        False,
        False,
        True,
    ]


def test_agreement_of_a_field_with_itself_and_with_half_of_it():
    field = torch.randn(40, 2, generator=generator(0, "field"))
    assert score.agreement(field, field) == pytest.approx((0, 1))
    assert score.agreement(field / 2, field) == pytest.approx((0.5, 1))
