"""What the Hugging Face hub reads of a model: the YAML above the text of its card.

manifest -> hub_front_matter -> hub

Written line by line: huggingface_hub's ModelCardData would do, but brings a downloader with all that it needs
to a command that never goes online.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from typing import Any

LIBRARY = "latent-service"

TASKS = {
    "generate": "unconditional-image-generation",
    "translate": "image-to-image",
    "encode": "image-feature-extraction",
    "decode": "other",
}
"""The hub's name for what a checkpoint does; the first that it offers is the card's."""

DATASETS = {"fashion-mnist": "zalando-datasets/fashion_mnist", "mnist": "ylecun/mnist"}
"""Named data sets that the hub has too."""


def front_matter(manifest: dict[str, Any]) -> str:
    """Return the YAML of a checkpoint's card, with the lines that begin and end it."""
    data = manifest["data"]["name"]
    known = [f"- {DATASETS[data]}"] if data in DATASETS else []
    tags = dict.fromkeys((LIBRARY, "onnx", manifest["family"]))
    lines = [
        "---",
        *_licence(manifest["licence"]),
        f"library_name: {LIBRARY}",
        f"pipeline_tag: {_task(manifest)}",
        "tags:",
        *(f"- {_text(tag)}" for tag in tags),
        *(["datasets:", *known] if known else []),
        *_model_index(manifest),
        "---",
        "",
    ]
    return "\n".join(lines)


def _licence(name: str) -> list[str]:
    """Return the hub's identifier of a licence, which is SPDX's in lower case, or else its name."""
    if re.fullmatch(r"[A-Za-z0-9.-]+", name):
        return [f"license: {_text(name.lower())}"]
    return ["license: other", f"license_name: {_text(name)}"]


def _task(manifest: dict[str, Any]) -> str:
    return next(task for operation, task in TASKS.items() if manifest["operations"].get(operation))


def _model_index(manifest: dict[str, Any]) -> list[str]:
    """Return the metrics measured on test images, without the tables; nothing where there are none."""
    metrics = [
        line
        for name, metric, value in _single_metrics(manifest["metrics"])
        for line in (
            f"    - type: {_text(metric)}",
            f"      name: {_text(name)}",
            f"      value: {_number(value)}",
        )
    ]
    if not metrics:
        return []
    data = manifest["data"]["name"]
    return [
        "model-index:",
        f"- name: {_text(manifest['name'])}",
        "  results:",
        "  - task:",
        f"      type: {_task(manifest)}",
        "    dataset:",
        f"      type: {_text(DATASETS.get(data, data))}",
        f"      name: {_text(data)}",
        "      split: test",
        "    metrics:",
        *metrics,
    ]


def _single_metrics(metrics: dict[str, Any]) -> Iterator[tuple[str, str, float]]:
    """Yield name, kind and value of single metrics, and of those in groups; counts are whole numbers."""
    for name, value in metrics.items():
        group = value if isinstance(value, dict) else {}
        for kind, number in ({name: value} | group).items():
            if isinstance(number, float) and math.isfinite(number):
                words = f"{name} {kind}" if kind in group else name
                yield words.replace("_", " "), kind, number


def _text(text: str) -> str:
    """Return text as YAML has it between quotes, which is as JSON has it."""
    return json.dumps(text, ensure_ascii=False)


def _number(value: float) -> str:
    """Return a number that every YAML reader takes for one: some want a point before the exponent."""
    text = repr(value)
    return text if "." in text else text.replace("e", ".0e")
