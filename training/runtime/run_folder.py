"""One training run on disk, `runs/<name>/`: what was asked for, how far it has come, and its images.

run.json       recipe, data and config, so that --resume and package need no options
state.pt       networks, averages and optimisers, replaced whole at every save
progress.json  how far it has come, and the losses of every epoch
sheets/        images made on the way

Plain files, not a tracking server such as MLflow or Aim: nothing has to run to write or read them, and a save
replaces the old state whole.
"""

from __future__ import annotations

import io
import os
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import torch
from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

RUNS = Path("runs")
Document = TypeVar("Document", bound=BaseModel)
State = dict[str, Any]
"""What training goes on from: networks, averages, optimisers and counters."""

MANIFEST = "checkpoint.json"
WEIGHTS = "weights.safetensors"
"""What distinguishes the folder of a checkpoint from that of a run, and its weights for training."""


class RunError(Exception):
    """A run that cannot be started or continued; the message says why."""


class RunRecord(BaseModel):
    """What a run was asked to do."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    recipe: str
    data: str
    path: str | None
    size: int | None
    channels: int | None
    pair: str | None
    data_sha256: str
    config: dict[str, JsonValue]


class RunProgress(BaseModel):
    """How far a run has come."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    update: int
    total: int
    """Updates in the whole run."""
    seconds: float
    """Spent in training, over all sittings."""
    device: str
    epochs: list[dict[str, float]]
    """Mean losses of every pass over the data."""


class Run:
    """Reads and writes the files of one run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def sheets(self) -> Path:
        """Return the folder of the images."""
        return self.folder / "sheets"

    def check_free(self) -> None:
        """Refuse to begin a run in this folder while it holds another that can be resumed.

        Raises:
            RunError: an earlier run was not finished, or the folder cannot be written.
        """
        check_writable(self.folder)
        earlier = self.progress()
        if earlier and earlier.update < earlier.total:
            raise RunError(
                f"{self.folder} holds a run that stopped after update {earlier.update} of {earlier.total}: "
                "add --resume to go on with it, or remove the folder"
            )
        if earlier is None and (self.folder / "state.pt").is_file():  # killed within its first save
            raise RunError(
                f"{self.folder} holds a run that was killed: add --resume to go on with it, or remove it"
            )

    def start(self, record: RunRecord) -> None:
        """Begin a new run in this folder, in place of an earlier one that was finished.

        Raises:
            RunError: the earlier one was not.
        """
        self.check_free()
        self.sheets.mkdir(parents=True, exist_ok=True)
        for old in [self.folder / "state.pt", self.folder / "progress.json", *self.sheets.glob("*.png")]:
            old.unlink(missing_ok=True)
        replace(self.folder / "run.json", record.model_dump_json(indent=2).encode())

    def record(self) -> RunRecord:
        """Return what the run was asked to do.

        Raises:
            RunError: there is no run in this folder.
        """
        found = _read(self.folder / "run.json", RunRecord)
        if found is None:
            raise RunError(f"there is no run in {self.folder}")
        return found

    def progress(self) -> RunProgress | None:
        """Return how far the run has come, None before the first save."""
        return _read(self.folder / "progress.json", RunProgress)

    def save(self, state: State, progress: RunProgress) -> None:
        """Replace the saved state: after a crash at any moment the old or the new one is there, whole."""
        serialised = io.BytesIO()
        torch.save(state, serialised)
        replace(self.folder / "state.pt", serialised.getvalue())
        replace(self.folder / "progress.json", progress.model_dump_json(indent=1).encode())

    def load(self, device: torch.device) -> State | None:
        """Return the saved state, or None before the first save.

        Raises:
            RunError: the file is damaged.
        """
        path = self.folder / "state.pt"
        if not path.is_file():
            return None
        try:
            state: State = torch.load(path, map_location=device, weights_only=True)
        except Exception as error:  # noqa: BLE001 - torch raises many kinds for a damaged file
            raise RunError(f"{path} cannot be read ({type(error).__name__}): start the run anew") from None
        return state


def _read(path: Path, kind: type[Document]) -> Document | None:
    """Return a file of a run, None where there is none.

    Raises:
        RunError: it is damaged, or belongs to another version.
    """
    if not path.is_file():
        return None
    try:
        return kind.model_validate_json(path.read_bytes())
    except ValidationError:
        raise RunError(f"{path} is damaged or belongs to another version") from None


def check_folder(folder: Path) -> Path:
    """Refuse a folder that a file is in the way of; return the part of its path that is there already.

    Raises:
        RunError: there is a file.
    """
    there = next(path for path in (folder, *folder.parents) if path.exists())
    if not there.is_dir():
        raise RunError(f"{there} is a file, and a folder is needed there")
    return there


def check_writable(folder: Path) -> None:
    """Refuse a folder that nothing can be written to.

    Raises:
        RunError: it is read-only, or a file is in its way.
    """
    there = check_folder(folder)
    if not os.access(there, os.W_OK):
        raise RunError(f"{folder} cannot be written: {there} is read-only")


def replace(path: Path, data: bytes) -> None:
    """Write a file so that a reader sees the old or the new content.

    Raises:
        RunError: it cannot be written; the old content stays, and nothing half written takes up the disk.
    """
    building = path.with_name(f"{path.name}.new")
    try:
        with building.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        building.replace(path)
    except OSError as error:
        with suppress(OSError):
            building.unlink(missing_ok=True)
        raise RunError(f"{path} cannot be written ({error.strerror}); what was saved before stays") from None
