"""The Hugging Face hub's own library reads what `package --hub` writes, without a connection."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import load_file

from support.service_process import ROOT
from training.cli.commands import main

SHIPPED = sorted(path for path in (ROOT / "checkpoints").glob("*/*") if path.is_dir())
PACKAGES = ("huggingface-hub==2.4.0", "safetensors==0.8.0", "numpy==2.4.6")


@pytest.mark.parametrize("folder", SHIPPED, ids=lambda folder: folder.parent.name)
def test_the_card_and_the_weights_are_read(
    folder: Path,
    environment: Callable[..., Path],
    run: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert main(["package", "--hub", str(tmp_path / "exported"), str(folder)]) == 0
    read = run(environment("hub", *PACKAGES), "hub_card.py", tmp_path / "exported")
    manifest = json.loads((folder / "checkpoint.json").read_bytes())
    metadata = read["metadata"]
    assert metadata["license"] == "mit"
    assert metadata["library_name"] == "latent-service"
    assert {"onnx", manifest["family"]} <= set(metadata["tags"])
    assert metadata["datasets"] == ["zalando-datasets/fashion_mnist"]
    assert read["model_name"] == manifest["name"]
    assert read["text"].strip() == (folder / "README.md").read_text().strip()
    assert set(read["tensors"]) == load_file(folder / "weights.safetensors").keys()
    figures = {(one["metric_name"], one["metric_type"]): one["metric_value"] for one in read["results"]}
    assert figures == {
        (name if group is None else f"{group} {name}", kind): value
        for group, name, kind, value in measured(manifest["metrics"])
    }
    assert {one["task_type"] for one in read["results"]} == {metadata["pipeline_tag"]}


def measured(metrics: dict[str, Any]) -> Iterator[tuple[str | None, str, str, float]]:
    """Yield single figures and those of groups: group, name in words, kind, value."""
    for name, value in metrics.items():
        if isinstance(value, float):
            yield None, name.replace("_", " "), name, value
        elif isinstance(value, dict):
            for kind, figure in value.items():
                if isinstance(figure, float):
                    yield name.replace("_", " "), kind.replace("_", " "), kind, figure
