"""Metrics of translations of which the answer is known."""

from collections.abc import Callable
from typing import Any

import pytest
from rich.console import Console
from torch import Tensor, nn

from training.data.datasets import Dataset
from training.data.domain_pairs import domain_pair
from training.evaluation.evaluate import evaluate_translation


class Of(nn.Module):
    """A function of images as a network."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.forward = function


def metrics_of(fashion: Dataset, there: Callable[[Tensor], Tensor], back: Callable[[Tensor], Tensor]) -> Any:
    pair = domain_pair(fashion, "edges-photos")
    operations = {"translate.photos": Of(there), "translate.edges": Of(back)}
    return evaluate_translation(operations, (0.0, 1.0), pair, Console(quiet=True))["edges to photos"]


def test_changing_nothing_comes_back_and_changes_nothing(fashion: Dataset):
    found = metrics_of(fashion, lambda x: x, lambda x: x)
    assert found["change_l1"] == found["round_trip_l1"] == 0
    assert found["change_ssim"] == pytest.approx(0, abs=1e-6)
    assert found["round_trip_retrieval"] == 1
    assert found["truth_ssim"] == found["untranslated_ssim"]


def test_one_image_for_all_finds_none_of_them_again(fashion: Dataset):
    found = metrics_of(fashion, lambda x: 0 * x, lambda x: x)
    assert found["round_trip_retrieval"] == pytest.approx(1 / 256)
    assert found["round_trip_l1"] == pytest.approx(found["change_l1"])


def test_a_message_hidden_below_what_8_bits_hold_is_lost_on_the_way_back(fashion: Dataset):
    found = metrics_of(fashion, lambda x: x / 1000, lambda x: x * 1000)
    assert found["round_trip_l1"] == pytest.approx(0, abs=1e-5)
    assert found["round_trip_l1_after_noise"] > 0.3
    assert found["round_trip_retrieval"] == 1
