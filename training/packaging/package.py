"""Trained networks -> a checkpoint folder. The only part of training that knows the service.

Each operation becomes an ONNX graph, compared with the torch module it came from; noise and seeds are the
service's own, so the preview of a generator is exactly what `POST /generate {"seed": 0, "count": 64}` draws.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import save
from torch import Tensor, nn

from service import checkpoint
from service.checkpoint.manifest import NAME_PATTERN, LatentSpec, Manifest, Operation
from service.checkpoint.priors import IndependentPrior, MixturePrior
from service.latent_space import sampling
from training.data.datasets import Dataset, to_range, to_unit
from training.data.domain_pairs import DomainPair, dataset_of
from training.evaluation.evaluate import Metrics
from training.evaluation.sample_sheets import COLUMNS, SHEET_IMAGES, grid, png_file, sheet
from training.packaging import hub_layout
from training.packaging.model_card import model_card
from training.packaging.onnx_export import ExportedGraph, export, graph_spec
from training.packaging.provenance import commit, library_versions
from training.packaging.reference_arrays import reference
from training.recipes.base import Recipe
from training.runtime import run_folder
from training.runtime.chunks import batched
from training.runtime.run_folder import RunProgress, RunRecord

CheckpointError = checkpoint.CheckpointError
OPERATIONS = get_args(Operation)
NAME = NAME_PATTERN
ROWS = 64
OUTPUTS = {
    "encode": ("latents", "logvar"),
    "decode": ("images",),
    "generate": ("images",),
    "translate": ("translated",),
}


@dataclass(frozen=True)
class Trained:
    """What the packager is handed."""

    record: RunRecord
    recipe: Recipe
    data: Dataset | DomainPair
    metrics: Metrics
    progress: RunProgress


def package(trained: Trained, root: Path, default_for: Sequence[str]) -> Path:
    """Write the next version of `trained.record.name` under `root` and return its folder.

    Raises:
        ExportError: a graph does not compute what its module does.
        OSError: the disk is full or read-only; nothing is left over.
    """
    recipe = trained.recipe
    graphs = {key: _exported(key, module, trained) for key, module in recipe.operations().items()}
    files, names = graph_files(recipe.operations(), graphs)
    files["golden.npz"] = golden(graphs)
    files[run_folder.WEIGHTS] = save(
        {
            f"{name}.{key}": value.contiguous()
            for name, network in recipe.averaged.items()
            for key, value in network.state_dict().items()
        }
    )
    files["run.json"] = trained.record.model_dump_json(indent=2).encode()
    files["preview.png"] = png_file(preview(trained))
    description = _description(trained, graphs, names, default_for)
    if "encode" in graphs and not isinstance(trained.data, DomainPair):
        files["reference.npz"] = _reference_file(recipe, trained.data)
        description["reference"] = {"classes": list(trained.data.classes)}
    return write(root, description, files)


def write(root: Path, description: dict[str, Any], files: dict[str, bytes]) -> Path:
    """Write the next version of a checkpoint, with its card, and return its folder.

    `description` is its manifest without version and files.

    Raises:
        OSError: the disk is full or read-only; nothing is left over.
    """
    description["version"] = checkpoint.next_version(root, description["name"])
    files["README.md"] = model_card(description).encode()
    return checkpoint.write(root, description, files)


def encoding_manifest(folder: Path) -> Manifest:
    """Return the manifest of a checkpoint that encodes, and so can have a reference.

    Raises:
        CheckpointError: it is not whole, or does not encode.
    """
    manifest = checkpoint.read(folder).manifest
    if "encode" not in manifest.offers():
        raise checkpoint.CheckpointError(
            f"{manifest.name} does not encode, so a reference is of no use to it"
        )
    return manifest


def add_reference(folder: Path, recipe: Recipe, data: Dataset) -> Path:
    """Write the checkpoint in `folder` once more, as its next version, with reference.npz; return its folder.

    Raises:
        CheckpointError: it is not whole, or does not encode.
        OSError: the disk is full or read-only; nothing is left over.
    """
    manifest = encoding_manifest(folder)
    root = folder.parents[1]
    files = {name: (folder / name).read_bytes() for name in manifest.files}
    files["reference.npz"] = _reference_file(recipe, data)
    description = manifest.model_dump(mode="json", by_alias=True, exclude={"files"})
    description["reference"] = {"classes": list(data.classes)}
    return write(root, description, files)


def export_to_hub(folder: Path, target: Path) -> None:
    """Write the checkpoint in `folder` to `target`, in the layout of the Hugging Face hub.

    Raises:
        CheckpointError: it is not whole.
        ValueError, OSError: `target` exists or cannot be written; nothing is left over.
    """
    hub_layout.check_free(target)
    names = (checkpoint.MANIFEST, checkpoint.MANIFEST_HASH, *checkpoint.read(folder).manifest.files)
    hub_layout.write(target, {name: (folder / name).read_bytes() for name in names})


def import_from_hub(source: Path, root: Path) -> Path:
    """Write the checkpoint that `export_to_hub` wrote to `source` under `root` and return its folder.

    Raises:
        CheckpointError: a file is not what it was, or that version exists already.
        OSError: a file is missing, or the disk is full or read-only; nothing is left over.
    """
    return checkpoint.restore(root, lambda name: hub_layout.read(source, name))


def _reference_file(recipe: Recipe, data: Dataset) -> bytes:
    return _archive(reference(recipe.operations(), recipe.value_range, data))


def preview(trained: Trained) -> Image.Image:
    """Return the recipe's sheet, for what generates of seeds 0-63 as the service draws them."""
    recipe = trained.recipe
    if isinstance(trained.data, DomainPair) or "generate" not in recipe.operations():
        return sheet(recipe, trained.data)
    inputs = seeded_inputs(recipe, range(SHEET_IMAGES))
    return grid(
        to_unit(batched(recipe.operations()["generate"], *inputs.values()), recipe.value_range), COLUMNS
    )


def seeded_inputs(recipe: Recipe, seeds: Sequence[int]) -> dict[str, Tensor]:
    """Return what the service would feed the generator for these seeds."""
    latents = torch.from_numpy(sampling.noise(seeds, _latent(recipe), 1.0))
    if not recipe.conditional:
        return {"latents": latents}
    return {"latents": latents, "labels": torch.from_numpy(sampling.labels(seeds, len(recipe.shape.classes)))}


def _latent(recipe: Recipe) -> LatentSpec:
    """Return the shape of a latent and where `generate` draws it from."""
    shape = (recipe.latent_dim,)
    if recipe.prior is None:
        return LatentSpec(shape=shape, prior=IndependentPrior(kind=recipe.latent_noise))
    weights, means, factors = (
        value.tolist() for value in (recipe.prior.weights, recipe.prior.means, recipe.prior.factors)
    )
    return LatentSpec(shape=shape, prior=MixturePrior(weights=weights, means=means, factors=factors))


def _exported(key: str, module: nn.Module, trained: Trained) -> ExportedGraph:
    """Export one operation, tried on real test images, their latents, or seeds 0-63."""
    recipe, data = trained.recipe, trained.data
    if isinstance(data, DomainPair):
        source = data.test[1 - data.domains.index(key.removeprefix("translate."))]
    else:
        source = data.test.pixels
    images = to_range(source[torch.arange(ROWS) % len(source)], recipe.value_range)
    if key in ("decode", "generate"):
        inputs = seeded_inputs(recipe, range(ROWS))
        inputs = {"latents": inputs["latents"]} if key == "decode" else inputs
    else:
        inputs = {"images": images}
    with torch.inference_mode():
        returned = module(*(value[:1] for value in inputs.values()))
    count = len(returned) if isinstance(returned, tuple) else 1
    return export(module, inputs, OUTPUTS[key.split(".", maxsplit=1)[0]][:count])


def graph_files(
    operations: dict[str, nn.Module], graphs: dict[str, ExportedGraph]
) -> tuple[dict[str, bytes], dict[str, str]]:
    """Return the graph files and each operation's file name; one module serving twice is stored once."""
    files: dict[str, bytes] = {}
    names: dict[str, str] = {}
    stored: dict[int, str] = {}
    for key, module in operations.items():
        plain = re.sub(r"[^A-Za-z0-9._-]", "-", key)[:100]
        name = f"{plain}.onnx" if f"{plain}.onnx" not in files else f"{plain}-{len(files)}.onnx"
        names[key] = stored.setdefault(id(module), name)
        files.setdefault(names[key], graphs[key].model)
    return files, names


def golden(graphs: dict[str, ExportedGraph]) -> bytes:
    """Return golden.npz: one input and its outputs per operation."""
    arrays: dict[str, NDArray[Any]] = {}
    for key, graph in graphs.items():
        for way, part in zip(("in", "out"), graph.golden, strict=True):
            arrays |= {f"{key}.{way}.{name}": value for name, value in part.items()}
    return _archive(arrays)


def _archive(arrays: dict[str, NDArray[Any]]) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
    return file.getvalue()


def _description(
    trained: Trained, graphs: dict[str, ExportedGraph], names: dict[str, str], default_for: Sequence[str]
) -> dict[str, Any]:
    recipe, record, dataset = trained.recipe, trained.record, dataset_of(trained.data)
    specs = {key: graph_spec(graph, names[key]) for key, graph in graphs.items()}
    operations: dict[str, Any] = {
        key: spec for key, spec in specs.items() if not key.startswith("translate.")
    }
    if recipe.domains:
        a, b = recipe.domains
        operations["translate"] = {
            to: {**specs[f"translate.{to}"], "from": source}
            for source, to in ((a, b), (b, a))
            if f"translate.{to}" in specs
        }
    return {
        "schema": 1,
        "name": record.name,
        "family": recipe.family,
        "title": f"{recipe.title} of {dataset.name}"
        + (f", {' and '.join(trained.data.domains)}" if isinstance(trained.data, DomainPair) else ""),
        "licence": "MIT",
        "image": {
            "channels": dataset.channels,
            "height": dataset.size,
            "width": dataset.size,
            "range": list(recipe.value_range),
        },
        "latent": _latent(recipe).model_dump(mode="json") if recipe.latent_dim else None,
        "classes": list(dataset.classes) if recipe.conditional else None,
        "null_label": recipe.null_label,
        "domains": list(recipe.domains) if recipe.domains else None,
        "operations": operations,
        "default_for": list(default_for),
        "data": {
            "name": dataset.name,
            "sha256": dataset.sha256,
            "split": f"train {len(dataset.train)}, test {len(dataset.test)}",
            "seed": int(str(record.config["seed"])),
        },
        "training": {
            "recipe": record.recipe,
            "config": record.config,
            "seed": int(str(record.config["seed"])),
            "steps": trained.progress.update,
            "images_seen": trained.progress.update * int(str(record.config["batch_size"])),
            "seconds": round(trained.progress.seconds, 1),
            "device": trained.progress.device,
            "libraries": library_versions(),
            "commit": commit(),
        },
        "metrics": trained.metrics,
        "parity": {key: graph.parity for key, graph in graphs.items()},
        "golden": {"file": "golden.npz"},
    }
