import pytest
import torch

from training.cli.parser import parser, read_config
from training.recipes import RECIPES
from training.runtime.devices import fastest


def config_of(*options: str):
    parsed = parser().parse_args(["fit", "vae", "--device", "cpu", *options])
    return read_config(RECIPES["vae"].config_type, parsed)


@pytest.mark.parametrize(
    ("capability", "precision"), [("avx2", "float32"), ("avx512_bf16", "bfloat16"), ("bf16", "bfloat16")]
)
def test_bfloat16_is_chosen_where_the_processor_has_it(
    capability: str, precision: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": False, capability: True})
    assert fastest("cpu") == precision
    assert config_of().precision == precision


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_precision_that_was_asked_for_is_kept(precision: str):
    assert config_of("--precision", precision).precision == precision
