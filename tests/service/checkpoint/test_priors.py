"""Priors: which distributions a manifest may name, and mixtures that do not fit together."""

from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from service.checkpoint.manifest import LatentSpec
from service.checkpoint.priors import IndependentPrior, MixturePrior

MIXTURE: dict[str, Any] = {
    "weights": (0.25, 0.75),
    "means": ((-4.0, 0.0), (4.0, 1.0)),
    "factors": (((1.0, 0.0), (0.5, 0.2)), ((0.1, 0.0), (0.0, 2.0))),
}


def mixture(**changed: Any) -> MixturePrior:
    return MixturePrior.model_validate({**MIXTURE, **changed})


def test_a_prior_that_is_not_said_is_normal():
    assert LatentSpec(shape=(4,)).prior == IndependentPrior(kind="normal")


@pytest.mark.parametrize(
    "prior", [{"kind": "gamma"}, {"kind": "normal", "scale": 2}, {"kind": "mixture"}, {}]
)
def test_an_unknown_prior_is_refused(prior: dict[str, Any]):
    with pytest.raises(ValidationError, match="prior"):
        LatentSpec.model_validate({"shape": (4,), "prior": prior})


def test_a_mixture_is_kept_as_arrays_of_its_components():
    edges, means, factors = mixture().arrays
    np.testing.assert_allclose(edges, [0.25, 1.0])
    np.testing.assert_array_equal(means, np.float32(MIXTURE["means"]))
    np.testing.assert_array_equal(factors, np.float32(MIXTURE["factors"]))


@pytest.mark.parametrize("rest", [0.7505, 0.7495])
def test_weights_that_were_rounded_end_at_one_all_the_same(rest: float):
    assert mixture(weights=(0.25, rest)).arrays[0][-1] == 1.0


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"weights": (0.5, 0.4)}, "sum to 1"),
        ({"weights": (0.25, 0.752)}, "sum to 1"),
        ({"weights": (1.0, 0.0)}, "greater than 0"),
        ({"weights": ()}, "at least 1 item"),
        ({"means": ((0.0, 0.0),)}, "one row of one length per weight"),
        ({"means": ((0.0, 0.0), (0.0,))}, "one row of one length per weight"),
        ({"factors": MIXTURE["factors"][:1]}, "one square matrix per weight"),
        ({"factors": (((1.0, 0.0),), MIXTURE["factors"][1])}, "one square matrix per weight"),
        ({"means": ((float("nan"), 0.0), (0.0, 0.0))}, "finite"),
    ],
)
def test_a_mixture_that_does_not_fit_together_is_refused(changed: dict[str, Any], reason: str):
    with pytest.raises(ValidationError, match=reason):
        mixture(**changed)


@pytest.mark.parametrize("shape", [(3,), (2, 2)])
def test_a_mixture_of_another_length_than_the_latent_is_refused(shape: tuple[int, ...]):
    assert LatentSpec(shape=(1, 2), prior=mixture()).size == 2
    with pytest.raises(ValidationError, match="as long as a latent"):
        LatentSpec(shape=shape, prior=mixture())


def test_a_latent_without_a_fixed_size_has_no_mixture():
    with pytest.raises(ValidationError, match="as long as a latent"):
        LatentSpec(shape=(2, None, None), prior=mixture())
