"""What sets the autoencoders apart, each on real images."""

import pytest
import torch
from torch import nn

from service.checkpoint.manifest import LatentSpec
from service.checkpoint.priors import MixturePrior as ServedMixture
from service.latent_space import sampling
from support.training.untrained_recipes import CPU, batch, made
from training.data.datasets import Dataset, to_range
from training.recipes.base import Recipe
from training.recipes.linear import Mean
from training.recipes.priors import MixturePrior
from training.recipes.sparse import largest
from training.runtime.randomness import Randomness, generator


def train(recipe: Recipe, dataset: Dataset, updates: int) -> None:
    images = to_range(dataset.train.pixels, recipe.value_range)
    for update in range(updates):
        rows = torch.randperm(len(images), generator=generator(0, "rows", update))[:64]
        recipe.progress = update / updates
        for optimizer in recipe.optimizers.values():
            optimizer.param_groups[0]["lr"] = 2e-3 * recipe.learning_rate_factor()
        recipe.update(images[rows], dataset.train.labels[rows], Randomness(0, update, CPU))
    for name, network in recipe.averaged.items():
        network.load_state_dict(recipe.networks[name].state_dict())


def test_a_linear_autoencoder_becomes_pca(fashion: Dataset):
    recipe = made("linear", latent_dim=2)
    train(recipe, fashion, 1500)
    found = recipe.metrics(fashion)
    assert found["unclipped_mse_over_pca"] == pytest.approx(1, abs=0.01)
    assert found["largest_principal_angle_deg"] < 5


def test_the_mean_is_that_of_all_rows_seen():
    mean = Mean(3)
    rows = torch.rand(50, 3)
    for part in rows.split(7):
        mean(part)
    assert torch.allclose(mean.value(), rows.mean(0), atol=1e-6)
    mean.eval()(rows + 1)
    assert torch.allclose(mean.value(), rows.mean(0), atol=1e-6)


@pytest.mark.parametrize(("hidden", "layers"), [(0, 1), (8, 3)])
def test_hidden_units_are_two_more_layers_on_either_side_of_the_latent(hidden: int, layers: int):
    recipe = made("autoencoder", latent_dim=2, width=4, hidden=hidden)
    for network in recipe.networks.values():
        assert sum(isinstance(part, nn.Linear) for part in network.modules()) == layers
    images, _ = batch(recipe)
    operations = recipe.operations()
    assert operations["decode"](operations["encode"](images)).shape == images.shape


def test_a_sparse_latent_keeps_its_largest_numbers_and_no_more():
    latents = torch.tensor([[0.0, 3.0, 1.0, 2.0], [0.5, 0.0, 0.0, 0.0]])
    assert torch.equal(largest(latents, 2), torch.tensor([[0.0, 3.0, 0.0, 2.0], [0.5, 0.0, 0.0, 0.0]]))
    recipe = made("sparse", latent_dim=100, active=7)
    latents = recipe.operations()["encode"](batch(recipe)[0])
    assert latents.count_nonzero(1).max() <= 7


def test_more_active_numbers_than_the_latent_has_are_refused():
    with pytest.raises(ValueError, match="--active 9: the latent has only 8 numbers"):
        made("sparse", latent_dim=8, active=9)


@pytest.mark.parametrize("noise", ["gaussian", "salt-and-pepper"])
def test_a_denoiser_comes_nearer_to_the_clean_image(noise: str, fashion: Dataset):
    recipe = made("denoiser", width=8, noise=noise)
    train(recipe, fashion, 40)
    rows = recipe.metrics(fashion)["by_noise"]
    assert rows[f"{noise} 0.5"]["psnr_db"] > rows[f"{noise} 0.5"]["noisy_psnr_db"]


def test_the_wae_pulls_its_latents_to_the_prior(fashion: Dataset):
    distances = {}
    for weight in (0.0, 100.0):
        recipe = made("wae", latent_dim=4, width=8, mmd_weight=weight)
        train(recipe, fashion, 80)
        with torch.no_grad():
            latents = recipe.operations()["encode"](fashion.test.unit())
        distances[weight] = (latents.std(0) - 1).abs().mean().item()
    assert distances[100.0] < 0.5 * distances[0.0]


def test_the_weight_of_the_kl_term_rises_to_one():
    recipe = made("likelihood-vae", warm_up=0.5)
    x, labels = batch(recipe)
    recipe.progress = 0.0
    loss = recipe.update(x, labels, Randomness(0, 0, CPU))
    assert loss["kl"] > 0
    steps = {}
    for progress in (0.0, 0.6):
        recipe = made("likelihood-vae", warm_up=0.5)
        recipe.progress = progress
        recipe.update(x, labels, Randomness(0, 0, CPU))
        steps[progress] = recipe.networks["encoder"].layers[-1].weight.grad.clone()
    assert not torch.allclose(steps[0.0], steps[0.6])


def test_a_mixture_finds_the_groups_it_was_fitted_to():
    random = generator(0, "groups")
    groups = torch.tensor([[5.0, 0.0], [-5.0, 1.0]])
    latents = groups[torch.arange(4000) % 2] + 0.1 * torch.randn(4000, 2, generator=random)
    prior = MixturePrior(2, components=2)
    prior.fit(latents, seed=0)
    assert sorted(prior.means[:, 0].tolist()) == pytest.approx([-5, 5], abs=0.05)
    drawn = prior(torch.randn(2000, 2, generator=random), torch.rand(2000, generator=random))
    assert drawn.mean(0) == pytest.approx(latents.mean(0).tolist(), abs=0.3)
    assert drawn.abs().std(0) == pytest.approx(latents.abs().std(0).tolist(), abs=0.05)


def test_few_latents_are_given_few_components():
    prior = MixturePrior(4)
    prior.fit(torch.randn(24, 4, generator=generator(0, "few")), seed=0)
    assert prior.weights.sum() == pytest.approx(1)
    assert torch.equal(prior.means[0], prior.means[1])


def test_training_and_service_draw_from_the_same_mixture():
    prior = MixturePrior(3, components=2)
    prior.fit(torch.randn(500, 3, generator=generator(0, "same")) * torch.tensor([1.0, 2.0, 3.0]), seed=0)
    served = ServedMixture(
        weights=prior.weights.tolist(), means=prior.means.tolist(), factors=prior.factors.tolist()
    )
    seeds = list(range(5000))
    ours = prior(
        torch.from_numpy(sampling.normal(seeds, sampling.LATENT_STREAM, 3)),
        torch.rand(5000, generator=generator(0, "component")),
    )
    theirs = torch.from_numpy(sampling.noise(seeds, LatentSpec(shape=(3,), prior=served), 1.0))
    assert torch.cov(theirs.T).flatten() == pytest.approx(torch.cov(ours.T).flatten().tolist(), abs=0.5)


def test_the_vae_generates_where_its_encoder_goes(fashion: Dataset):
    recipe = made("vae", latent_dim=4, width=8)
    train(recipe, fashion, 40)
    recipe.finish(fashion)
    with torch.no_grad():
        latents, _ = recipe.operations()["encode"](fashion.train.unit())
    drawn = recipe.draw(4000, generator(0, "drawn"))
    assert drawn.mean(0) == pytest.approx(latents.mean(0).tolist(), abs=0.3)
    assert torch.equal(recipe.networks["prior"].means, recipe.averaged["prior"].means)
