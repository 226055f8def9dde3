"""What can be asked of a checkpoint, and the sentence for what cannot."""

from pathlib import Path
from typing import Any

import pytest

from service.inference.model import Model
from service.repository.capabilities import Capability, is_supported, why_unsupported
from support.loaded_models import load_tiny

FREE: dict[str, Any] = {"size": None, "stride": 4, "latent": (2, None, None)}


def model(root: Path, **options: Any) -> Model:
    return load_tiny(root, **options)


def offered(found: Model, to: str | None = None) -> set[str]:
    every: list[Capability] = [
        "encode",
        "decode",
        "generate",
        "translate",
        "reconstruct",
        "interpolate",
        "neighbours",
    ]
    return {one for one in every if is_supported(found, one, to)}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"operations": ("encode",)}, {"encode"}),
        ({"operations": ("decode",)}, {"decode", "interpolate"}),
        ({"operations": ("encode", "decode")}, {"encode", "decode", "reconstruct", "interpolate"}),
        ({"operations": ("generate",)}, {"generate", "interpolate"}),
        ({"operations": ("encode",), "reference": ("a", "b")}, {"encode", "neighbours"}),
        ({"operations": ("encode", "decode"), **FREE}, {"encode", "decode", "reconstruct"}),
        ({"operations": (), "domains": ("a", "b")}, {"translate"}),
    ],
)
def test_what_a_checkpoint_has_decides_what_it_offers(
    tmp_path: Path, options: dict[str, Any], expected: set[str]
):
    assert offered(model(tmp_path, **options)) == expected


def test_a_domain_has_to_be_one_of_its_own(tmp_path: Path):
    found = model(tmp_path, operations=(), domains=("a", "b"))
    assert is_supported(found, "translate", "a")
    assert not is_supported(found, "translate", "c")
    assert why_unsupported(found.manifest, "translate", "c") == "tiny translates to a, b only."


@pytest.mark.parametrize(
    ("options", "capability", "reason"),
    [
        ({"operations": ("encode",)}, "decode", "tiny does not offer decode; it offers encode."),
        (
            {"operations": ("encode",)},
            "neighbours",
            "tiny has no reference file, so it does not offer neighbours.",
        ),
        ({"operations": ("decode",)}, "neighbours", "tiny does not offer neighbours; it offers decode."),
        (
            {"operations": ("encode", "decode"), **FREE},
            "interpolate",
            "tiny has latents of no fixed size, so it does not offer interpolate.",
        ),
    ],
)
def test_the_sentence_says_what_is_missing(
    tmp_path: Path, options: dict[str, Any], capability: Capability, reason: str
):
    found = model(tmp_path, **options)
    assert not is_supported(found, capability, None)
    assert why_unsupported(found.manifest, capability, None) == reason
