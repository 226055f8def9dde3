import pytest
import torch

from training.studies.maths.shrinkage import Epoch, kept_under_noise


@pytest.mark.parametrize(
    "epoch", [Epoch(1000, 10, 0.5, 5.0), Epoch(20, 10, 0.5, 20.0), Epoch(10, 10, 0.5, 30.0)]
)
def test_an_epoch_of_l2_multiplies_weights_by_the_formula(epoch: Epoch):
    assert epoch.kept() == pytest.approx(epoch.formula, rel=1e-9)


def test_the_limit_is_approached_as_n_grows_and_missed_where_n_is_small():
    gaps = [abs(e.limit / e.formula - 1) for e in (Epoch(n, 10, 0.5, 5.0) for n in (10, 100, 1000, 10_000))]
    assert gaps == sorted(gaps, reverse=True)
    assert gaps[-1] < 1e-4 < 0.01 < gaps[0]
    assert Epoch(10, 10, 0.5, 30.0).formula < 0 < Epoch(10, 10, 0.5, 30.0).limit


def test_adam_undoes_an_l2_penalty_where_gradients_are_large_and_leaves_decoupled_decay_alone():
    def adam(p):
        return torch.optim.Adam(p, lr=1e-3)

    def adamw(p):
        return torch.optim.AdamW(p, lr=1e-3, weight_decay=1.0)

    small, large = (kept_under_noise(adam, scale, 1.0, 200, count=500) for scale in (0.1, 10.0))
    assert large > small + 0.1
    small, large = (kept_under_noise(adamw, scale, 0.0, 200, count=500) for scale in (0.1, 10.0))
    assert small == pytest.approx(large, abs=1e-6)
    assert small == pytest.approx((1 - 1e-3) ** 200, abs=2e-3)
