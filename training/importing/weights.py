"""Reading other people's weights: tensors and nothing else.

torch.load is only ever called with `weights_only=True`, which builds tensors and refuses whatever else a
pickle asks for.
"""

from __future__ import annotations

import hashlib
import json
import pickle
from collections.abc import Iterable
from pathlib import Path

import torch
from pydantic import JsonValue
from torch import Tensor, nn

from training.importing.source import SourceError

SHOWN = 4
"""Names in a message."""


def read_config(path: Path) -> dict[str, JsonValue]:
    """Return a JSON object.

    Raises:
        SourceError: there is none.
    """
    if not path.is_file():
        raise SourceError(f"{path.parent} has no {path.name}")
    try:
        config = json.loads(path.read_bytes())
    except ValueError:
        raise SourceError(f"{path} is not JSON") from None
    if not isinstance(config, dict):
        raise SourceError(f"{path} is not a JSON object")
    return config


def read_tensors(path: Path, member: str | None = None) -> dict[str, Tensor]:
    """Return the tensors of a file that torch.save wrote, of its member `member` if one is named.

    Raises:
        SourceError: it is no such file, or holds anything else.
    """
    if not path.is_file():
        raise SourceError(f"{path} is not a file")
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise SourceError(
            f"{path.name} holds more than tensors, and loading it could run code; "
            "save the network's state_dict() instead"
        ) from None
    except (RuntimeError, EOFError, ValueError, KeyError, OSError):
        raise SourceError(f"{path.name} is damaged, or not a file of torch.save") from None
    if member is not None:
        found = found.get(member) if isinstance(found, dict) else None
    is_state = isinstance(found, dict) and all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in found.items()
    )
    if not is_state or not found:
        where = f"{path.name} has no {member}" if member else f"{path.name} is not a state_dict()"
        raise SourceError(f"{where}: a mapping of names to tensors is needed")
    return dict(found)


def without_prefix(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Return the tensors under a prefix, without it; all of them as they are where none has it."""
    if not any(name.startswith(prefix) for name in tensors):
        return tensors
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def load(network: nn.Module, tensors: dict[str, Tensor], what: str) -> None:
    """Give a network its weights, every one of them and no other.

    Raises:
        SourceError: names or shapes differ; the message lists them, and that it was taken for `what`.
    """
    wanted = network.state_dict()
    optional = {name for name in wanted if name.endswith("num_batches_tracked")}
    missing = [name for name in wanted if name not in tensors and name not in optional]
    unknown = [name for name in tensors if name not in wanted]
    other = [name for name, value in tensors.items() if name in wanted and value.shape != wanted[name].shape]
    for names, fault in ((missing, "lacks"), (unknown, "has besides"), (other, "has other shapes for")):
        if names:
            more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
            raise SourceError(f"it looks like {what}, but {fault} {', '.join(names[:SHOWN])}{more}")
    network.load_state_dict(tensors, strict=False)


def sha256(*paths: Path) -> str:
    """Return the SHA-256 of files, one after the other."""
    return sha256_of(path.read_bytes() for path in paths)


def sha256_of(pieces: Iterable[bytes]) -> str:
    """Return the SHA-256 of bytes, one piece after the other."""
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
    return digest.hexdigest()
