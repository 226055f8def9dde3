"""`python -m training import`: reads a source, tries it out and writes a checkpoint."""

from __future__ import annotations

import argparse
import math
import re
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from training.evaluation.sample_sheets import COLUMNS, grid, png_file
from training.importing import cyclegan, diffusers_folder, pythae, python_object
from training.importing.inputs import check_images, real_images
from training.importing.source import ImageFormat, Source, SourceError
from training.importing.trial import Trial, preview, try_out
from training.packaging.model_card import IMPORT
from training.packaging.onnx_export import graph_spec
from training.packaging.package import golden, graph_files, write
from training.packaging.provenance import commit, library_versions

READERS: dict[str, Callable[[argparse.Namespace], Source]] = {
    "diffusers": lambda options: diffusers_folder.read(options.path),
    "cyclegan": lambda options: cyclegan.read(
        options.paths, (options.domains[0], options.domains[1]), options.to
    ),
    "pythae": lambda options: pythae.read(options.path),
    "python": lambda options: python_object.read(
        options.object,
        options.operation,
        _image(options),
        options.latent,
        (options.domains[0], options.domains[1]) if options.domains else None,
        options.to,
    ),
}

OFFERED = {
    "diffusers": ("encode", "decode"),
    "cyclegan": ("translate",),
    "pythae": ("encode", "decode", "generate"),
}
"""What a kind of source offers at most; a Python object offers what is declared."""


def import_source(options: argparse.Namespace, log: Callable[[str], None]) -> Path:
    """Write the next version of the checkpoint that a source becomes, and return its folder.

    Raises:
        SourceError, ExportError: it cannot become one; the message has the reason.
        OSError: the disk is full or read-only; nothing is left over.
    """
    _check_claims(options, OFFERED.get(options.kind) or options.operation)
    check_images(options.images)
    source = READERS[options.kind](options)
    offered = list(dict.fromkeys(key.partition(".")[0] for key in source.operations))
    _check_claims(options, offered)
    height, width = source.image.size(options.size)
    log(f"{source.title}: {', '.join(offered)}; tried at {height} x {width} pixels")
    images = real_images(options.images, options.inputs, source.image.channels, (height, width))
    trial = try_out(source, images, options.inputs, log)
    files, names = graph_files(source.operations, trial.graphs)
    files["golden.npz"] = golden(trial.graphs)
    files["preview.png"] = png_file(grid(preview(source, images), COLUMNS))
    return write(options.checkpoints, _description(source, trial, names, options), files)


def _check_claims(options: argparse.Namespace, offered: Sequence[str]) -> None:
    """Refuse claims of operations that a source does not offer, before its networks are read and after."""
    for operation in options.default_for:
        if operation not in offered:
            raise SourceError(f"--default-for {operation}: this source offers {', '.join(offered)}")


def _default_name(options: argparse.Namespace) -> str:
    """Return the name of a checkpoint after that of the folder or the object it is made of."""
    if options.kind == "python":
        found = options.object.rpartition(":")[2]
    else:
        folder = options.paths[0].parent if options.kind == "cyclegan" else options.path
        found = folder.resolve().name
    return re.sub(r"[^a-z0-9]+", "-", found.lower()).strip("-")[:64] or options.kind


def _image(options: argparse.Namespace) -> ImageFormat:
    low, high = options.range
    if not -math.inf < low < high < math.inf:
        raise SourceError(f"--range {low:g} {high:g}: the second number must be the larger one, and finite")
    return ImageFormat(options.channels, options.size, options.size, options.stride, (low, high))


def _description(
    source: Source, trial: Trial, names: dict[str, str], options: argparse.Namespace
) -> dict[str, Any]:
    """Return the manifest without version and files."""
    specs = {key: graph_spec(graph, names[key]) for key, graph in trial.graphs.items()}
    image, latent = source.image, source.latent
    return {
        "schema": 1,
        "name": options.name or _default_name(options),
        "family": source.family,
        "title": options.title or source.title,
        "licence": options.licence,
        "image": {
            "channels": image.channels,
            "height": image.height,
            "width": image.width,
            "stride": image.stride,
            "min_side": trial.min_side,
            "max_pixels": options.max_pixels if image.is_free else None,
            "range": list(image.value_range),
        },
        "latent": latent
        and {
            "shape": list(latent.shape),
            "prior": {"kind": "normal"},
            "scaling_factor": latent.scaling_factor,
            "shift_factor": latent.shift_factor,
        },
        "classes": None,
        "domains": list(source.domains) if source.domains else None,
        "operations": _operations(specs, source.domains),
        "default_for": list(options.default_for),
        "data": {"name": "unknown", "sha256": "", "split": "", "seed": 0},
        "training": {
            "recipe": f"{IMPORT}{options.kind}",
            "config": {
                "command": _command(options),
                "weights_sha256": source.weights_sha256,
                "source": source.settings,
            },
            "seed": 0,
            "steps": 0,
            "images_seen": 0,
            "seconds": 0.0,
            "device": "cpu",
            "libraries": library_versions(*source.libraries),
            "commit": commit(),
        },
        "metrics": {},
        "parity": trial.parity,
        "golden": {"file": "golden.npz"},
    }


def _command(options: argparse.Namespace) -> str:
    """Return the command that was given; where files lie is left out."""
    words = (Path(word).name if Path(word).exists() else word for word in options.arguments)
    return shlex.join(words)


def _operations(specs: dict[str, Any], domains: Sequence[str] | None) -> dict[str, Any]:
    operations = {key: spec for key, spec in specs.items() if not key.startswith("translate.")}
    if domains:
        a, b = domains
        operations["translate"] = {
            to: {**specs[f"translate.{to}"], "from": source}
            for source, to in ((a, b), (b, a))
            if f"translate.{to}" in specs
        }
    return operations
