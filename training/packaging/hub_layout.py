"""A checkpoint in the layout of the Hugging Face hub, and back.

    config.json         checkpoint.json
    model.safetensors   weights.safetensors
    onnx/               the graphs, *.onnx
    README.md           README.md, with the front matter that the hub reads above it
    everything else     as it is called in a checkpoint

package -> write -> folder -> hub;  hub -> folder -> read -> package

Nothing else is changed, so that what is read is the checkpoint that was written, byte for byte.
"""

from __future__ import annotations

import json
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path

from training.packaging.hub_front_matter import front_matter
from training.runtime.run_folder import MANIFEST, WEIGHTS

CARD = "README.md"
RENAMED = {MANIFEST: "config.json", WEIGHTS: "model.safetensors"}


def check_free(target: Path) -> None:
    """Refuse to write over what is there already.

    Raises:
        ValueError: the folder exists.
    """
    if target.exists():
        raise ValueError(f"{target} exists already; the hub's layout is written to a new folder")


def write(target: Path, files: Mapping[str, bytes]) -> None:
    """Write all files of a checkpoint, by their names there, to the folder `target`, or none of them.

    Raises:
        ValueError: the folder exists, or the checkpoint has a file of a name that the layout needs.
        OSError: the disk is full or read-only; nothing is left over.
    """
    check_free(target)
    placed = {_place(name): data for name, data in files.items()}
    if len(placed) < len(files):
        raise ValueError(f"the checkpoint has a file called {' or '.join(RENAMED.values())} already")
    placed[CARD] = front_matter(json.loads(files[MANIFEST])).encode() + files.get(CARD, b"")
    building = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    try:
        for place, data in placed.items():
            path = building / place
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        building.rename(target)
    finally:
        shutil.rmtree(building, ignore_errors=True)


def read(source: Path, name: str) -> bytes:
    """Return the file of the checkpoint that is called `name` there.

    Raises:
        OSError: it is missing or cannot be read.
    """
    raw = (source / _place(name)).read_bytes()
    return _below_front_matter(raw) if name == CARD else raw


def _place(name: str) -> str:
    """Return where a file of a checkpoint lies in the layout."""
    return f"onnx/{name}" if name.endswith(".onnx") else RENAMED.get(name, name)


def _below_front_matter(card: bytes) -> bytes:
    if not card.startswith(b"---\n"):
        return card
    return card.partition(b"\n---\n")[2]
