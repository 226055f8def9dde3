"""What the importer of diffusers' folders refuses; tests/clients imports real ones, with diffusers."""

import json
import sys
from pathlib import Path

import pytest

from training.cli.commands import main


def run_import(folder: Path) -> int:
    return main(["import", "diffusers", str(folder)])


@pytest.fixture
def folder(workplace: Path) -> Path:
    made = workplace / "vae"
    made.mkdir()
    (made / "config.json").write_text(json.dumps({"_class_name": "AutoencoderKL"}))
    return made


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            '{"_class_name": "UNet2DModel"}',
            "that of a UNet2DModel; AutoencoderKL, AutoencoderTiny, VQModel can",
        ),
        ("{}", "that of a unknown"),
        ("[]", "not a JSON object"),
        ("{", "not JSON"),
    ],
)
def test_another_class_is_named(folder: Path, capsys: pytest.CaptureFixture[str], config: str, message: str):
    (folder / "config.json").write_text(config)
    assert run_import(folder) == 1
    line = capsys.readouterr().err
    assert message in line
    assert line.count("\n") == 1


def test_pickled_weights_are_not_read(folder: Path, capsys: pytest.CaptureFixture[str]):
    (folder / "diffusion_pytorch_model.bin").write_bytes(b"\x80\x04.")
    assert run_import(folder) == 1
    assert "safe_serialization=True" in capsys.readouterr().err


def test_without_diffusers_it_is_said_how_to_get_it(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    (folder / "diffusion_pytorch_model.safetensors").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "diffusers", None)
    assert run_import(folder) == 1
    assert "pip install -e '.[import]'" in capsys.readouterr().err
