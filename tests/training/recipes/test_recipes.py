import pytest
import torch
from torch import Tensor

from support.training.untrained_recipes import CPU, batch, made
from training.recipes import RECIPES
from training.recipes.base import Recipe
from training.recipes.cyclegan import FakeBuffer
from training.runtime.randomness import Randomness


def inputs_of(recipe: Recipe, key: str) -> list[Tensor]:
    if key == "encode" or key.startswith("translate."):
        return [batch(recipe, 5)[0]]
    latents = torch.randn(5, recipe.latent_dim)
    return [latents, torch.arange(5) % 3] if recipe.conditional else [latents]


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize(("channels", "size"), [(1, 28), (3, 45), (1, 64), (3, 128)])
def test_every_size_trains_and_comes_out_at_its_own_size(name: str, channels: int, size: int):
    recipe = made(name, channels, size)
    losses = recipe.update(*batch(recipe, 4), Randomness(0, 0, CPU))
    assert all(torch.isfinite(loss) for loss in losses.values())
    for key, module in recipe.operations().items():
        with torch.no_grad():
            returned = module(*inputs_of(recipe, key))
        shape = (returned[0] if isinstance(returned, tuple) else returned).shape
        expected = (5, recipe.latent_dim) if key == "encode" else (5, channels, size, size)
        assert shape == expected


@pytest.mark.parametrize("name", [name for name in RECIPES if name != "linear"])  # a line has no end
def test_images_stay_in_the_declared_range(name: str):
    recipe = made(name)
    for key, module in recipe.operations().items():
        if key == "encode":
            continue
        with torch.no_grad():
            images = module(
                *[10 * value if value.is_floating_point() else value for value in inputs_of(recipe, key)]
            )
        assert recipe.value_range[0] <= images.min()
        assert images.max() <= recipe.value_range[1]


@pytest.mark.parametrize("name", RECIPES)
def test_an_update_changes_every_network(name: str):
    recipe = made(name)
    before = {key: [p.clone() for p in network.parameters()] for key, network in recipe.networks.items()}
    for update in range(2):
        recipe.update(*batch(recipe), Randomness(0, update, CPU))
    for key, network in recipe.networks.items():
        unmoved = [
            a.shape for a, b in zip(before[key], network.parameters(), strict=True) if torch.equal(a, b)
        ]
        # A bias in front of a normalisation has no effect and no gradient; whole weights must all move.
        assert not [shape for shape in unmoved if len(shape) > 1], key


def test_the_vaes_loss_is_the_negative_evidence_lower_bound():
    recipe = made("vae", latent_dim=4)
    x, _ = batch(recipe)
    random = Randomness(0, 0, CPU)
    with torch.no_grad():
        recipe.networks["encoder"].train()
        mu, logvar = recipe.networks["encoder"](x).chunk(2, dim=1)
        posterior = torch.distributions.Normal(mu, (0.5 * logvar).exp())
        z = mu + (0.5 * logvar).exp() * random.normal("posterior", *mu.shape)
        sigma = recipe.networks["noise"].log_sigma.exp()
        likelihood = (
            torch.distributions.Normal(recipe.networks["decoder"](z), sigma).log_prob(x).flatten(1).sum(1)
        )
        kl = torch.distributions.kl_divergence(posterior, torch.distributions.Normal(0.0, 1.0)).sum(1)
        expected = (kl - likelihood).mean()
    assert recipe.update(x, torch.zeros(len(x)), random)["loss"].item() == pytest.approx(
        expected.item(), rel=1e-4
    )


def test_the_conditional_generator_minds_its_label():
    recipe = made("cgan")
    for update in range(3):
        recipe.update(*batch(recipe, 16), Randomness(0, update, CPU))
    generator = recipe.networks["generator"].eval()
    z = torch.randn(4, recipe.latent_dim)
    with torch.no_grad():
        first, second = (generator(z, torch.full((4,), label)) for label in (0, 1))
    assert (first - second).abs().mean() > 1e-4


def test_the_class_is_named_from_the_image_alone():
    recipe = made("cgan")
    discriminator = recipe.networks["discriminator"]
    x, _ = batch(recipe, 8)
    with torch.no_grad():
        (one, named), (other, named_again) = (discriminator(x, torch.full((8,), label)) for label in (0, 1))
    assert torch.equal(named, named_again)
    assert not torch.equal(one, other)


@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_naming_the_class_is_learned_where_it_has_a_weight(weight: float):
    recipe = made("cgan", class_weight=weight)
    naming = recipe.networks["discriminator"].get_submodule("naming")
    before = naming.get_parameter("weight").clone()
    losses = recipe.update(*batch(recipe, 16), Randomness(0, 0, CPU))
    assert torch.equal(naming.get_parameter("weight"), before) == (weight == 0)
    assert losses["naming_d"].item() > 0


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_a_share_of_the_latents_is_drawn_towards_zero(share: float):
    recipe = made("cgan", truncated_share=share, latent_dim=64)
    drawn: list[Tensor] = []
    recipe.networks["generator"].register_forward_pre_hook(lambda _, inputs: drawn.append(inputs[0]))
    recipe.update(*batch(recipe, 256), Randomness(0, 0, CPU))
    for latents in drawn:
        lengths = latents.norm(dim=1) / recipe.latent_dim**0.5
        assert (lengths < 0.6).double().mean().item() == pytest.approx(0.6 * share, abs=0.08)
    assert len(drawn) == 2


def test_the_null_label_is_learned_from_images_of_every_class():
    recipe = made("cgan", null_share=0.5)
    assert recipe.null_label == "any"
    labels_seen: list[int] = []
    discriminator = recipe.networks["discriminator"]
    discriminator.register_forward_pre_hook(lambda _, inputs: labels_seen.extend(inputs[1].tolist()))
    before = {key: value.clone() for key, value in recipe.networks["generator"].named_parameters()}
    for update in range(2):
        recipe.update(*batch(recipe, 32), Randomness(0, update, CPU))
    assert 0.35 < labels_seen.count(3) / len(labels_seen) < 0.65
    assert set(labels_seen) == {0, 1, 2, 3}
    after = dict(recipe.networks["generator"].named_parameters())
    moved = (after["norm.scale.weight"] - before["norm.scale.weight"]).abs().amax(1)
    assert (moved > 0).tolist() == [True] * 4
    assert made("cgan").null_label is None


def test_the_fake_buffer_hands_back_earlier_fakes():
    recipe = made("cyclegan", buffer=8)
    for update in range(4):
        recipe.update(*batch(recipe, 8), Randomness(0, update, CPU))
    memory = recipe.memory()
    assert memory["a"].shape == memory["b"].shape == (8, 1, 28, 28)


def test_the_fake_buffer_swaps_half_of_a_batch_and_loses_nothing():
    buffer = FakeBuffer(6)
    old, new = torch.arange(6.0).view(6, 1, 1, 1), 10 + torch.arange(8.0).view(8, 1, 1, 1)
    assert torch.equal(buffer.exchange(old, Randomness(0, 0, CPU), "a"), old)
    mixed = buffer.exchange(new, Randomness(0, 1, CPU), "a")
    assert (mixed < 10).sum() == 4
    assert buffer.images is not None
    assert sorted([*mixed.flatten().tolist(), *buffer.images.flatten().tolist()]) == [
        *old.flatten().tolist(),
        *new.flatten().tolist(),
    ]
