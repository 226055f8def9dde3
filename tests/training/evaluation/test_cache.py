"""A result is computed once, and again as soon as anything that it depends on is another."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from training.data.datasets import Dataset
from training.evaluation import cache
from training.evaluation.cache import Key, cached, cached_weights, data_key, data_path, keep, versions


def test_a_value_is_computed_once_for_a_key(tmp_path: Path):
    path, counts = tmp_path / "there" / "value.json", iter(range(9))

    def count(**key: int) -> int:
        return cached(path, {**key}, lambda: next(counts))

    assert [count(a=1), count(a=1), count(a=2), count(a=2), count(a=1), count(a=1, b=1)] == [0, 0, 1, 1, 2, 3]
    keep(path, {"a": 5}, 50)
    assert count(a=5) == 50
    assert count(a=1, b=1) == 4


def test_another_version_of_the_code_computes_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    before = versions("metrics", "judge")
    monkeypatch.setitem(cache.VERSIONS, "speed", 7)
    assert versions("metrics", "judge") == before
    for name in before:
        monkeypatch.setitem(cache.VERSIONS, name.removeprefix("version of "), 7)
        assert versions("metrics", "judge") != before
        monkeypatch.undo()


def test_a_file_without_a_key_is_not_believed(tmp_path: Path):
    path = tmp_path / "metrics.json"
    path.write_text('{"state_sha256": "of an earlier version", "value": 1}')
    assert cached(path, {}, lambda: 2) == 2


def test_weights_are_trained_once_for_a_key_and_come_back_bit_for_bit(tmp_path: Path):
    trained: list[Tensor] = []

    def train() -> dict[str, Tensor]:
        trained.append(torch.full((2, 3), 1 / (1 + len(trained))).T)
        return {"weight": trained[-1], "count": torch.tensor(4)}

    def weight(key: Key) -> Tensor:
        return load_file(cached_weights(tmp_path / "there" / "judge.safetensors", key, train))["weight"]

    assert torch.equal(weight({"data": "a"}), weight({"data": "a"}))
    assert len(trained) == 1
    assert torch.equal(weight({"data": "b"}), trained[1])


def test_images_held_back_make_another_data_set(fashion: Dataset):
    others = [
        fashion.hold_out(56),
        replace(fashion, sha256="0" * 64),
        replace(fashion, test=fashion.test[:9]),
    ]
    for other in others:
        assert data_key(other) != data_key(fashion)
    for other in others[:2]:
        assert data_path(other, "judge") != data_path(fashion, "judge")
