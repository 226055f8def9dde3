from pathlib import Path

import pytest
import torch

from support.training.trainers import trainer_of
from training.config import Config
from training.data.datasets import Dataset
from training.networks.moving_average import follow
from training.recipes import RECIPES
from training.runs.trainer import Trainer
from training.runtime.run_folder import RunError


def weights(trainer: Trainer) -> list[torch.Tensor]:
    networks = [*trainer.recipe.networks.values(), *trainer.recipe.averaged.values()]
    return [value for network in networks for value in network.state_dict().values()]


@pytest.mark.parametrize("name", RECIPES)
def test_a_resumed_run_equals_the_unbroken_one_bit_for_bit(name: str, fashion: Dataset, tmp_path: Path):
    unbroken = trainer_of(name, fashion, tmp_path / "unbroken")
    unbroken.train()
    first = trainer_of(name, fashion, tmp_path / "broken")
    for _ in range(3):
        first._one_update()
    first.save()
    second = trainer_of(name, fashion, tmp_path / "broken")
    second.resume()
    assert second.update == 3
    second.train()
    assert all(torch.equal(a, b) for a, b in zip(weights(unbroken), weights(second), strict=True))
    rows = [{key: value for key, value in row.items() if key != "seconds"} for row in unbroken.history]
    assert rows[-1] == {key: value for key, value in second.history[-1].items() if key != "seconds"}


def test_another_seed_gives_another_run(fashion: Dataset, tmp_path: Path):
    runs = [trainer_of("vae", fashion, tmp_path / str(seed), seed=seed) for seed in (0, 1)]
    for run in runs:
        run.train()
    assert not torch.equal(*(weights(run)[0] for run in runs))


def test_a_loss_that_is_no_number_stops_the_run_and_keeps_the_last_good_state(
    fashion: Dataset, tmp_path: Path
):
    good = trainer_of("vae", fashion, tmp_path)
    good._one_update()
    good.save()
    saved = (tmp_path / "state.pt").read_bytes()
    bad = trainer_of("vae", fashion, tmp_path)
    bad.resume()
    bad.recipe.networks["encoder"].layers[0].weight.data.fill_(float("nan"))
    with pytest.raises(RunError, match="stopped being a number at update 2"):
        bad.train()
    assert (tmp_path / "state.pt").read_bytes() == saved


def test_weights_that_are_no_numbers_are_not_saved_over_the_last_good_state(fashion: Dataset, tmp_path: Path):
    trainer = trainer_of("vae", fashion, tmp_path)
    trainer._one_update()
    trainer.save()
    saved = (tmp_path / "state.pt").read_bytes()
    trainer.recipe.networks["decoder"].layers[0].weight.data[0] = float("inf")
    with pytest.raises(RunError, match="a weight of the decoder stopped being a number at update 1"):
        trainer.save()
    assert (tmp_path / "state.pt").read_bytes() == saved


def test_a_damaged_state_is_named(fashion: Dataset, tmp_path: Path):
    trainer = trainer_of("vae", fashion, tmp_path)
    (tmp_path / "state.pt").write_bytes(b"half a file")
    with pytest.raises(RunError, match="cannot be read"):
        trainer.resume()


def test_a_state_of_other_networks_is_refused(fashion: Dataset, tmp_path: Path):
    trainer_of("vae", fashion, tmp_path).save()
    with pytest.raises(RunError, match="belongs to other networks"):
        trainer_of("vae", fashion, tmp_path, latent_dim=3).resume()


def test_epochs_set_the_length_when_given(fashion: Dataset, tmp_path: Path):
    assert trainer_of("vae", fashion, tmp_path / "a", epochs=3, batch_size=56).total == 6
    assert trainer_of("vae", fashion, tmp_path / "b").total == 6


def test_a_small_folder_is_not_seen_forever():
    assert Config(updates=7000, batch_size=128).total_updates(images=500) == 1172
    assert Config(updates=7000, batch_size=128).total_updates(images=60_000) == 7000


def test_the_average_follows_the_weights_and_copies_buffers():
    average, network = torch.nn.BatchNorm1d(2), torch.nn.BatchNorm1d(2)
    network.weight.data.fill_(3.0)
    network.running_mean.fill_(5.0)
    follow(average, network, 0.75)
    assert average.weight.tolist() == [1.5, 1.5]
    assert average.running_mean.tolist() == [5.0, 5.0]
