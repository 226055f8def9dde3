"""What is measured follows from the operations; each metric on recipes of which the answer is known."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from rich.console import Console
from torch import Tensor, nn

from training.data.datasets import Dataset, make_dataset
from training.evaluation import features
from training.evaluation.evaluate import TRUNCATIONS, evaluate, gan_train, label_fidelity
from training.evaluation.generated_images import CONTROL_DIMENSIONS, SEEDS, judge_generation
from training.evaluation.judge import judge_of
from training.evaluation.representations import posterior_metrics
from training.metrics.pca import PCA
from training.packaging.model_card import _tables
from training.recipes import RECIPES
from training.recipes.base import ImageShape, Losses, Recipe
from training.runtime.randomness import Randomness

pytestmark = pytest.mark.slow

QUIET = Console(quiet=True)
CPU = torch.device("cpu")


class Fixed(Recipe):
    """A recipe with given operations, which has nothing to learn."""

    value_range = (0.0, 1.0)

    def __init__(self, dataset: Dataset, latent_dim: int, **operations: nn.Module) -> None:
        shape = ImageShape(dataset.channels, dataset.size, dataset.classes)
        super().__init__(RECIPES["vae"].config_type(), shape, CPU)
        self.latent_dim, self._operations = latent_dim, operations

    def update(self, first: Tensor, second: Tensor, random: Randomness) -> Losses:
        raise NotImplementedError

    def operations(self) -> dict[str, nn.Module]:
        return self._operations


class Copier(nn.Module):
    """Generates training images."""

    def __init__(self, images: Tensor) -> None:
        super().__init__()
        self.images = images

    def forward(self, latents: Tensor) -> Tensor:
        return self.images[(1000 * latents[:, 0]).long() % len(self.images)]


class ClassCopier(nn.Module):
    """Generates training images of the class asked for: the first `variety` of each."""

    def __init__(self, dataset: Dataset, variety: int) -> None:
        super().__init__()
        images = dataset.train.unit()
        self.by_class = [
            images[dataset.train.labels == label][:variety] for label in range(len(dataset.classes))
        ]

    def forward(self, latents: Tensor, labels: Tensor) -> Tensor:
        rows = []
        for z, label in zip(latents, labels.tolist(), strict=True):
            choices = self.by_class[label]
            rows.append(choices[int(1000 * z[0]) % len(choices)])
        return torch.stack(rows)


class Conditional(Fixed):
    """The same, with classes."""

    conditional = True


class Identity(nn.Module):
    def forward(self, rows: Tensor) -> Tensor:
        return rows.flatten(1) if rows.dim() == 4 else rows.view(-1, 1, 28, 28)


@pytest.fixture(autouse=True, scope="module")
def many_samples() -> Iterator[None]:
    """Judge by more draws than other tests do, and by all test images: metrics are the point here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("training.evaluation.generated_images.SAMPLES", 256)
        patch.setattr("training.evaluation.evaluate.SAMPLES", 1000)
        yield


@pytest.fixture(scope="module")
def of_a_vae(fashion: Dataset, tmp_path_factory: pytest.TempPathFactory) -> dict:
    folder = tmp_path_factory.mktemp("vae")
    torch.manual_seed(0)
    kind = RECIPES["vae"]
    recipe = kind(kind.config_type(latent_dim=4), ImageShape(1, 28, fashion.classes), CPU)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        found = evaluate(recipe, fashion, QUIET)
        again = evaluate(recipe, fashion, QUIET)
    assert len(list((folder / "runs" / "judges").iterdir())) == 3  # what the data alone scores, once
    assert found == again
    return found


def test_a_vae_is_judged_by_all_that_it_offers(of_a_vae: dict):
    assert {"mse", "pca_mse", "knn_accuracy", "linear_probe", "rate_nats", "active_units"} <= set(of_a_vae)
    assert {"distortion_mse", "cfid", "features_sha256"} <= set(of_a_vae)
    assert of_a_vae["features_accuracy"] > 0.9
    assert (of_a_vae["images"], of_a_vae["generated_images"], of_a_vae["generated_seeds"]) == (
        256,
        256,
        SEEDS,
    )
    assert set(of_a_vae["codes"]) == {"latent", "PCA", "pixels"}
    assert of_a_vae["codes"]["PCA"]["numbers"] == 4
    assert of_a_vae["codes"]["pixels"]["knn_accuracy"] > of_a_vae["codes"]["PCA"]["knn_accuracy"]


def test_floor_and_ceilings_stand_in_order(of_a_vae: dict):
    rows = of_a_vae["generation"]
    names = ["training images", "PCA-16 of test images", "noise"]
    for key in ("cfid", "cfid_control"):
        floor, blurred, noise = (rows[name][key] for name in names)
        assert 0 < floor < noise
        assert blurred < noise
    assert rows["training images"]["cfid"] < rows["PCA-16 of test images"]["cfid"]
    assert rows["training images"]["coverage"] > 0.8
    assert rows["noise"]["coverage"] < 0.1
    assert rows["generated"]["cfid_deviation"] > 0
    assert "generated from N(0, I)" in rows  # beside the mixture, which is what it generates from


def test_a_copier_is_found_out_by_its_nearest_training_images(workplace: Path, fashion: Dataset):
    copier = Copier(fashion.train.unit())
    found = evaluate(Fixed(fashion, 2, generate=copier), fashion, QUIET)
    assert found["nearest_training_image"]["generated"]["median"] == pytest.approx(0, abs=1e-3)
    assert found["nearest_training_image"]["test images"]["lowest_hundredth"] > 0.02
    assert found["generation"]["generated"]["coverage"] > 0.5
    assert "mse" not in found
    assert "codes" not in found


def test_missing_classes_and_blur_are_counted(workplace: Path, fashion: Dataset):
    images = fashion.train.unit()
    few = Copier(images[fashion.train.labels < 5])
    blurred = Copier(nn.functional.avg_pool2d(images, 3, stride=1, padding=1))
    of_few, of_blurred = (evaluate(Fixed(fashion, 2, generate=one), fashion, QUIET) for one in (few, blurred))
    assert of_few["generation"]["generated"]["class_distance"] == pytest.approx(0.5, abs=0.07)
    assert of_blurred["generation"]["generated"]["class_distance"] < 0.2
    shares = of_few["class_shares"]
    assert shares["generated"].keys() == shares["test images"].keys() == set(fashion.classes)
    assert sum(shares["generated"].values()) == pytest.approx(1)
    assert sum(list(shares["generated"].values())[5:]) < 0.1
    assert of_few["generation"]["generated"]["sharpness"] == pytest.approx(1, abs=0.4)
    assert of_blurred["generation"]["generated"]["sharpness"] < 0.3
    assert of_blurred["generation"]["training images"]["sharpness"] == pytest.approx(1, abs=0.2)


def test_prototypes_agree_with_their_labels_and_teach_little(
    workplace: Path, fashion: Dataset, monkeypatch: pytest.MonkeyPatch
):
    (workplace / "runs" / "judges").unlink()  # nobody else may have the judge of a few passes
    monkeypatch.setattr("training.evaluation.judge.MAX_PASSES", 24)
    torch.set_num_threads(1)  # so few passes end elsewhere where sums are rounded otherwise
    judge = judge_of(fashion, QUIET)
    recipes = [Conditional(fashion, 2, generate=ClassCopier(fashion, variety)) for variety in (1000, 1)]
    various, prototypes = (
        label_fidelity(recipe, fashion, judge) | gan_train(recipe, fashion, QUIET) for recipe in recipes
    )
    assert prototypes["label_agreement"] > 0.85
    assert various["label_agreement"] > 0.85
    assert various["gan_train_over_real"] == pytest.approx(1, abs=0.15)
    assert prototypes["gan_train_over_real"] < various["gan_train_over_real"] - 0.2
    rows = various["by_truncation"]
    assert rows["truncation 1"]["label_agreement"] == various["label_agreement"]
    assert set(rows) == {f"truncation {truncation:g}" for truncation in TRUNCATIONS}
    pca = PCA.fit(fashion.train.unit(), CONTROL_DIMENSIONS)
    generation = judge_generation(recipes[1], fashion, pca, QUIET)["generation"]
    assert generation["generated"]["coverage"] < 0.3


def test_latents_that_are_the_pixels_score_as_the_pixels(workplace: Path, fashion: Dataset):
    found = evaluate(Fixed(fashion, 784, encode=Identity(), decode=Identity()), fashion, QUIET)
    latent, pixels = found["codes"]["latent"], found["codes"]["pixels"]
    assert latent["knn_accuracy"] == pixels["knn_accuracy"] == found["knn_accuracy"]
    assert found["mse"] == 0
    assert "mse_over_pca" not in found  # a latent as long as the image leaves PCA no error
    assert "generation" not in found


def test_rate_and_active_units_of_a_known_posterior():
    random = torch.Generator().manual_seed(0)
    mu = torch.randn((5000, 3), generator=random) * torch.tensor([1.0, 0.2, 0.05])
    logvar = torch.zeros(5000, 3)
    found = posterior_metrics(mu, logvar)
    assert found["active_units"] == 2
    assert found["rate_nats"] == pytest.approx(0.5 * (1 + 0.04 + 0.0025), rel=0.03)
    collapsed = posterior_metrics(torch.zeros(10, 3), torch.zeros(10, 3))
    assert collapsed == {"rate_nats": 0.0, "active_units": 0}


def test_the_shipped_features_recognise_images_they_were_not_trained_on(fashion: Dataset):
    shipped = features.features_of(fashion, QUIET)
    images = fashion.test.unit()
    assert shipped.accuracy(images, fashion.test.labels) > 0.9
    assert shipped(images[:3]).shape == (3, 192)
    alone = torch.cat([shipped(image[None]) for image in images[:3]])
    assert torch.allclose(shipped(images)[:3], alone, atol=1e-4)


def test_other_data_get_features_of_their_own_once(
    workplace: Path, fashion: Dataset, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(features, "PASSES", 3)
    colour = [part.pixels[:40].repeat(1, 3, 2, 2)[..., :40, :40] for part in (fashion.train, fashion.test)]
    parts = [
        type(part)(pixels, part.labels[:40] % 2)
        for part, pixels in zip((fashion.train, fashion.test), colour, strict=True)
    ]
    own = make_dataset("own", *parts, ("even", "odd"))
    first, again = (features.features_of(own, QUIET) for _ in range(2))
    assert first.sha256 == again.sha256
    assert first(own.test[:5].unit()).shape == (5, 128)


def test_augmentation_keeps_the_scale_and_erases_only_its_share(fashion: Dataset):
    images = fashion.train[:200].unit()
    kept = features.augment(images, 0.0, update=1)
    assert kept.shape == images.shape
    assert (kept.sum((1, 2, 3)) <= images.sum((1, 2, 3)) + 1e-3).all()
    erased = features.augment(images, 0.5, update=1)
    changed = (erased != kept).flatten(1).any(1).double().mean()
    assert 0.35 < changed < 0.6


def test_groups_of_rows_are_tables_with_gaps_where_a_row_lacks_a_metric():
    lines = _tables(
        {"mse": 0.5, "codes": {"latent": {"a": 1, "b": 0.25}, "pixels": {"a": 784}}, "x": {"y": 2.0}}
    )
    assert lines == [
        "| metric | value |",
        "|---|---|",
        "| mse | 0.5 |",
        "",
        "|  | y |",
        "|---|---|",
        "| x | 2 |",
        "",
        "| codes | a | b |",
        "|---|---|---|",
        "| latent | 1 | 0.25 |",
        "| pixels | 784 |  |",
    ]
