import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from service.latent_space.sampling import QUANTILES
from support.training.untrained_recipes import CPU, batch, made
from training.metrics.patches import patch_distance
from training.recipes import priors
from training.recipes.base import Recipe
from training.runtime.randomness import Randomness, generator


class Slope(nn.Module):
    """A linear score: its gradient is known."""

    def __init__(self, pixels: int, slope: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((pixels,), slope / math.sqrt(pixels)))

    def forward(self, images: Tensor) -> Tensor:
        return images.flatten(1) @ self.weight


class Recorded:
    """Keeps the losses a recipe steps down, and steps nowhere."""

    def __init__(self, recipe: Recipe) -> None:
        self.losses: list[tuple[str, float]] = []
        recipe.step = self.step  # type: ignore[method-assign]

    def step(self, name: str, loss: Tensor, clip: float | None = None) -> None:
        del clip
        self.losses.append((name, loss.item()))


def test_r3gans_losses_compare_and_its_penalty_is_the_squared_slope_of_both_sides():
    recipe = made("r3gan", gamma=0.5, penalty_interval=4)
    recipe.discriminator = score = Slope(784, slope=3.0)
    steps = Recorded(recipe)
    x, labels = batch(recipe)
    for update in (0, 1):
        random = Randomness(0, update, CPU)
        recipe.update(x, labels, random)
        with torch.no_grad():
            seen, new = (
                score(recipe.networks["generator"](random.rows(purpose, len(x), recipe.draw)))
                for purpose in ("latents for D", "latents for G")
            )
            expected_d, expected_g = softplus(seen - score(x)).mean(), softplus(score(x) - new).mean()
        penalty = 0.5 / 2 * (3.0**2 + 3.0**2) * 4 if update == 0 else 0
        (_, loss_d), (_, loss_g) = steps.losses[-2:]
        assert loss_d == pytest.approx(expected_d.item() + penalty, rel=1e-5)
        assert loss_g == pytest.approx(expected_g.item(), rel=1e-5)


def test_r3gans_penalty_falls_to_a_tenth():
    recipe = made("r3gan", gamma=2.0)
    weights = []
    for recipe.progress in (0.0, 0.5, 1.0):
        weights.append(recipe.gamma)  # type: ignore[attr-defined]
    assert weights == pytest.approx([2.0, 1.1, 0.2])


def test_the_critics_loss_is_the_distance_and_its_penalty_that_of_a_slope_other_than_one():
    recipe = made("wgan-gp", penalty=10.0, critic_steps=2)
    recipe.critic = score = Slope(784, slope=1.5)
    steps = Recorded(recipe)
    x, labels = batch(recipe)
    for update in range(4):
        random = Randomness(0, update, CPU)
        losses = recipe.update(x, labels, random)
        with torch.no_grad():
            fake = recipe.networks["generator"](random.rows("latents for D", len(x), recipe.draw))
            distance = (score(x) - score(fake)).mean().item()
        assert losses["distance"].item() == pytest.approx(distance, rel=1e-4)
        assert losses["slope"].item() == pytest.approx(1.5)
        (of_critic,) = [loss for name, loss in steps.losses if name == "critic"][update:]
        assert of_critic == pytest.approx(10 * 0.5**2 - distance, rel=1e-3)
    assert [name for name, _ in steps.losses] == ["critic", "generator", "critic"] * 2


def test_the_generator_moves_as_often_and_as_fast_as_it_is_told():
    recipe = made("gan", generator_steps=3, learning_rate=2e-4, generator_learning_rate=8e-4)
    rates = {name: optimizer.param_groups[0]["lr"] for name, optimizer in recipe.optimizers.items()}
    assert rates == {"generator": 8e-4, "discriminator": 2e-4}
    steps = Recorded(recipe)
    recipe.update(*batch(recipe), Randomness(0, 0, CPU))
    assert [name for name, _ in steps.losses] == ["discriminator", *["generator"] * 3]
    assert len({loss for _, loss in steps.losses[1:]}) == 3  # fresh noise every time


@pytest.mark.parametrize(("pixels", "value_range"), [("unit", (0.0, 1.0)), ("normalised", (-1.0, 1.0))])
def test_pixels_are_learned_and_generated_in_the_range_asked_for(
    pixels: str, value_range: tuple[float, float]
):
    recipe = made("gan", pixels=pixels)
    assert recipe.value_range == value_range
    low, high = value_range
    images = recipe.operations()["generate"](recipe.draw(64, generator(0, "test")))
    assert low <= images.min() < images.max() <= high
    assert images.mean() == pytest.approx((low + high) / 2, abs=0.2)


@pytest.mark.parametrize("kind", ["normal", *QUANTILES])
def test_latents_are_drawn_from_the_prior_that_is_served(kind: str):
    recipe = made("gan", noise=kind, latent_dim=50)
    drawn = recipe.draw(2000, generator(0, "test")).double().flatten()
    probabilities = torch.tensor([0.05, 0.25, 0.5, 0.75, 0.95], dtype=torch.float64)
    if kind == "normal":
        expected = torch.distributions.Normal(0.0, 1.0).icdf(probabilities)
    else:
        expected = torch.from_numpy(QUANTILES[kind](probabilities.numpy()))
    error = 0.02 if kind != "cauchy" else 0.3
    assert drawn.quantile(probabilities) == pytest.approx(expected, abs=error)
    again = priors.independent(recipe.latent_noise, (2000, 50), generator(0, "test"))
    assert torch.equal(again.flatten().double(), drawn)


@pytest.mark.parametrize("kind", QUANTILES)
def test_quantiles_are_those_of_the_service(kind: str):
    ends = torch.tensor([2.0**-54, 1 - 2.0**-53], dtype=torch.float64)
    u = torch.cat([torch.linspace(1e-6, 1 - 1e-6, 1001, dtype=torch.float64), ends])
    ours = priors.QUANTILES[kind](u)
    theirs = QUANTILES[kind](u.numpy())
    assert ours.numpy() == pytest.approx(theirs, rel=1e-9, abs=1e-12)
    assert priors.QUANTILES.keys() == QUANTILES.keys()


def test_patches_tell_blurred_and_noisy_images_from_sharp_ones():
    random = torch.Generator().manual_seed(0)
    corners = torch.rand(600, 1, 8, 8, generator=random).round()
    images = torch.nn.functional.interpolate(corners, size=(28, 28))
    first, second = images[:300], images[300:]

    def distance(others: Tensor) -> float:
        return patch_distance(others, second, generator(0, "directions"))

    alike = distance(first)
    blurred = torch.nn.functional.avg_pool2d(first, 5, stride=1, padding=2)
    noisy = (first + 0.2 * torch.randn(first.shape, generator=random)).clamp(0, 1)
    assert distance(second) == 0
    assert distance(blurred) > 5 * alike
    assert distance(noisy) > 2 * alike
