import pytest
import torch
from torch import Tensor, nn

from training.config import Config
from training.recipes import RECIPES
from training.recipes.base import ImageShape, Recipe, detached
from training.runtime.randomness import Randomness

CPU = torch.device("cpu")
SHAPE = ImageShape(1, 28, ("a", "b"))


class Plain(Recipe):
    """One network with every kind of parameter, moved by plain gradient descent."""

    config_type = Config
    family = title = "plain"

    def __init__(self, momentum: float = 0.0, **settings: float) -> None:
        super().__init__(Config.model_validate(settings), SHAPE, CPU)
        torch.manual_seed(0)
        self.network = self.add(
            "network",
            nn.ModuleList([nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Embedding(2, 3), nn.Conv2d(1, 2, 3)]),
            averaged=False,
        )
        self.optimizers["all"] = torch.optim.SGD(self.network.parameters(), lr=0.1, momentum=momentum)

    def update(self, first, second, random):
        loss = self.loss()
        self.step("all", loss)
        return detached(loss=loss)

    def loss(self) -> Tensor:
        return torch.stack([((p - 1) ** 4).sum() for p in self.network.parameters()]).sum()

    def operations(self):
        return {}

    def values(self) -> dict[str, Tensor]:
        return {name: p.detach().clone() for name, p in self.network.named_parameters()}


WEIGHTS = {"0.weight", "3.weight"}


def stepped(recipe: Plain, loss: Tensor | None = None, clip: float | None = None) -> dict[str, Tensor]:
    recipe.step("all", recipe.loss() if loss is None else loss, clip)
    return recipe.values()


@pytest.mark.parametrize("settings", [{"l1_penalty": 0.5}, {"l2_penalty": 0.5}])
def test_penalties_touch_weights_and_neither_biases_nor_norms_nor_tables(settings: dict[str, float]):
    plain, penalised = stepped(Plain()), stepped(Plain(**settings))
    assert {name for name in plain if not torch.equal(plain[name], penalised[name])} == WEIGHTS


def test_the_l2_penalty_is_the_same_as_writing_it_into_the_loss():
    penalised = Plain(momentum=0.9, l2_penalty=0.3)
    written = Plain(momentum=0.9)
    for _ in range(3):
        penalty = sum(p.square().sum() for n, p in written.network.named_parameters() if n in WEIGHTS)
        first = stepped(written, written.loss() + 0.15 * penalty, clip=1.0)
        second = stepped(penalised, clip=1.0)
    assert all(torch.allclose(first[name], second[name], atol=1e-6) for name in first)


def test_the_l1_penalty_moves_weights_by_rate_times_lambda_and_stops_at_zero():
    plain, penalised = stepped(Plain()), stepped(Plain(l1_penalty=1.0))
    for name in WEIGHTS:
        moved = plain[name].abs() - penalised[name].abs()
        assert torch.allclose(moved, plain[name].abs().clamp(max=0.1), atol=1e-6)
        assert (plain[name] * penalised[name] >= 0).all()


def test_clipping_bounds_the_gradients_norm():
    recipe = Plain()
    before = recipe.values()
    after = stepped(recipe, clip=0.5)
    moved = torch.cat([(after[name] - before[name]).flatten() for name in before]).norm()
    assert moved.item() == pytest.approx(0.1 * 0.5, rel=1e-4)


def test_an_optimiser_penalises_only_what_it_moves():
    recipe = Plain(l1_penalty=1.0, l2_penalty=1.0)
    other = recipe.add("other", nn.Linear(4, 3), averaged=False)
    other(torch.ones(1, 4)).sum().backward()
    weight = other.weight.detach().clone()
    stepped(recipe)
    assert torch.equal(other.weight, weight)


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_obeys_the_three_options(name: str):
    kind = RECIPES[name]

    def trained(**settings: float) -> float:
        torch.manual_seed(0)
        config = kind.config_type.model_validate({"weight_decay": 0.0, **settings})
        domains = ("a", "b") if kind.translates else None
        recipe = kind(config, ImageShape(1, 28, ("a", "b"), domains), CPU)
        random = torch.Generator().manual_seed(1)
        images = torch.rand((8, 1, 28, 28), generator=random)
        second = images.flip(0) if kind.translates else torch.arange(8) % 2
        recipe.update(images, second, Randomness(0, 0, CPU))
        parameters = [p for network in recipe.networks.values() for p in network.parameters()]
        return sum(p.detach().abs().sum().item() for p in parameters if p.dim() > 1)

    plain = trained()
    assert trained(l1_penalty=5.0) < 0.99 * plain
    assert trained(weight_decay=10.0) < 0.999 * plain
    assert trained(l2_penalty=1e3) != plain
