"""The README.md inside a checkpoint, written from its manifest alone."""

from __future__ import annotations

import shlex
from typing import Any

IMPORT = "import "
"""What the recipe of an imported checkpoint begins with."""


def model_card(manifest: dict[str, Any]) -> str:
    """Return the card of one checkpoint as Markdown."""
    is_imported = manifest["training"]["recipe"].startswith(IMPORT)
    lines = [
        f"# {manifest['name']} {manifest['version']}",
        "",
        f"{manifest['title']}. Images are {_size(manifest['image'])}.",
        "",
        "![preview](preview.png)",
        "",
        "_" + _preview_note(manifest) + "_",
        "",
        f"- Offers: {', '.join(manifest['operations'])}",
    ]
    if manifest["latent"]:
        axes = " x ".join("any" if axis is None else str(axis) for axis in manifest["latent"]["shape"])
        lines.append(f"- Latent: {axes} numbers{_prior(manifest)}")
    if manifest["classes"]:
        any_class = f"; {manifest['null_label']!r} asks for any" if manifest["null_label"] else ""
        lines.append(f"- Classes: {', '.join(manifest['classes'])}{any_class}")
    if manifest["domains"]:
        lines.append(f"- Domains: {', '.join(manifest['domains'])}")
    lines += _imported(manifest) if is_imported else _trained(manifest)
    return "\n".join([*lines, ""])


def _size(image: dict[str, Any]) -> str:
    colour = "grey" if image["channels"] == 1 else "colour"
    if image["height"] is None:
        return f"of any height and width that are multiples of {image['stride']}, in {colour}"
    return f"{image['height']} x {image['width']} {colour}"


def _imported(manifest: dict[str, Any]) -> list[str]:
    """Return where imported weights are from, and how near the graphs are to their networks."""
    config = manifest["training"]["config"]
    return [
        f"- Imported: weights with the SHA-256 `{config['weights_sha256'][:16]}`; "
        "what they were trained on is not known here",
        f"- Licence: {manifest['licence']}",
        "",
        "## Measured",
        "",
        _parity(manifest),
        "",
        "## Import it again",
        "",
        f"    python -m training {config['command']}",
    ]


def _parity(manifest: dict[str, Any]) -> str:
    return (
        "Largest difference between the graphs and the networks they were exported from, as a share of the "
        "output's range: "
        + ", ".join(f"{key} {value:.1g}" for key, value in manifest["parity"].items())
        + "."
    )


def _trained(manifest: dict[str, Any]) -> list[str]:
    """Return what a checkpoint of ours was trained on and how well it does."""
    training, data = manifest["training"], manifest["data"]
    return [
        f"- Data: {data['name']} ({data['split']}), SHA-256 `{data['sha256'][:16]}`",
        f"- Training: {training['steps']:,} updates, {training['images_seen']:,} images, "
        f"{training['seconds'] / 60:.0f} minutes on {training['device']}, "
        f"commit `{(training['commit'] or 'unknown')[:12]}`",
        f"- Licence: {manifest['licence']}",
        "",
        "## Measured",
        "",
        "On test images, with the averaged weights that are in the graphs. Printed again by",
        f"`python -m training evaluate checkpoints/{manifest['name']}/{manifest['version']}`.",
        "",
        *_tables(manifest["metrics"]),
        "",
        _parity(manifest),
        "",
        "## Train it again",
        "",
        "    " + fit_command(manifest),
    ]


def fit_command(manifest: dict[str, Any]) -> str:
    """Return the command that trained this checkpoint."""
    training = manifest["training"]
    words = ["python", "-m", "training", "fit", training["recipe"], "--data", manifest["data"]["name"]]
    if manifest["domains"] and len(manifest["operations"]["translate"]) == 2:
        words += ["--pair", "-".join(manifest["domains"])]
    words += ["--name", manifest["name"]]
    config = training["config"]
    for name, value in config.items():
        if value is not None and not (name == "updates" and config["epochs"]):
            words += [f"--{name.replace('_', '-')}", str(value)]
    if manifest["default_for"]:
        words += ["--default-for", *manifest["default_for"]]
    return shlex.join(words)


def _prior(manifest: dict[str, Any]) -> str:
    if "generate" not in manifest["operations"]:
        return ""
    prior = manifest["latent"]["prior"]
    if prior["kind"] == "normal":
        return ", drawn from N(0, I)"
    if prior["kind"] != "mixture":
        return f", each drawn from the {prior['kind'].replace('-', ' ')} distribution"
    return f", drawn from {len(prior['weights'])} Gaussians fitted to the latents of the training images"


def _preview_note(manifest: dict[str, Any]) -> str:
    if manifest["training"]["recipe"].startswith(IMPORT):
        if {"encode", "translate"} & set(manifest["operations"]):
            return "Real images, each followed by what becomes of it; none was chosen."
        return "What becomes of random latents; none was chosen."
    if manifest["domains"] == ["noisy", "clean"]:
        return "The first 22 test images: clean, with noise, and with the noise taken off again."
    if manifest["domains"]:
        return "The first test images of either domain: input, translation, and back again; none was chosen."
    if "generate" in manifest["operations"]:
        return "Seeds 0 to 63, none was chosen: what `POST /generate` draws for seed 0 and count 64."
    return "The first 32 test images, each followed by its reconstruction."


def _tables(metrics: dict[str, Any]) -> list[str]:
    """Return the metrics as Markdown: single ones first, then tables.

    Groups of metrics are the rows of one table; a group of such groups is a table of its own.
    """
    single = {name: value for name, value in metrics.items() if not isinstance(value, dict)}
    groups = {name: value for name, value in metrics.items() if isinstance(value, dict)}
    tables = {
        name: group for name, group in groups.items() if all(isinstance(row, dict) for row in group.values())
    }
    lines = ["| metric | value |", "|---|---|"] if single else []
    lines += [f"| {_words(name)} | {_shown(value)} |" for name, value in single.items()]
    rows = {name: group for name, group in groups.items() if name not in tables}
    for name, table in (({"": rows} if rows else {}) | tables).items():
        columns = list(dict.fromkeys(column for row in table.values() for column in row))
        lines += ["", f"| {_words(name)} | {' | '.join(map(_words, columns))} |"]
        lines += ["|---" * (len(columns) + 1) + "|"]
        for label, row in table.items():
            cells = [_shown(row[column]) if column in row else "" for column in columns]
            lines.append(f"| {label} | {' | '.join(cells)} |")
    return lines


def _words(name: str) -> str:
    return name.replace("_", " ")


def _shown(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return f"`{value[:16]}`" if isinstance(value, str) else f"{value:,}"
