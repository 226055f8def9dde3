"""What serves at one moment: the models by name and version, and which of them answers a request.

    Repository -> Catalogue -> get, for every request; listing and status, for /models

A `Catalogue` never changes. When the folder or the orders do, the repository makes another, and when all
workers have prepared theirs it takes the place of the one before.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from service.checkpoint.manifest import Manifest, Operation
from service.errors import NotReady, OperationNotOffered, UnknownModel
from service.inference.model import Model
from service.observability import metrics
from service.repository.capabilities import NEEDS, Capability, is_supported, why_unsupported
from service.repository.folder_scan import Entry

OPERATIONS: tuple[Operation, ...] = ("encode", "decode", "generate", "translate")

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ModelStatus:
    """What is known about the checkpoints of one name."""

    name: str
    version: int | None
    """The version that is told of: the one that answers to the name alone, else the highest there is."""
    versions: tuple[int, ...]
    """Versions in the folder, highest first."""
    served: tuple[int, ...]
    """Versions that can be asked, highest first; the first of them answers to the name alone."""
    state: Literal["serving", "refused", "unloaded"]
    reason: str | None
    """Why the highest of the refused versions does not serve."""
    manifest: Manifest | None
    preview: bytes | None
    """A PNG of what the version does, if it has one."""
    default_for: tuple[Operation, ...]
    """Operations it answers when a request names no model."""


class Catalogue:
    """Models by name and version; a name without a version is the highest that serves."""

    def __init__(self, entries: Mapping[str, Entry]) -> None:
        self.entries = dict(sorted(entries.items()))
        self._newest = {name: entry.model for name, entry in self.entries.items() if entry.model}
        self._defaults = {
            operation: names[0] for operation in OPERATIONS if (names := self._claimants(operation))
        }
        self._chosen: dict[tuple[str | None, Capability, str | None], Model] = {}

    def get(self, model: str | None, capability: Capability, to: str | None = None) -> Model:
        """Return the model for a request: the one it names (`name` or `name@version`), else the default.

        With `to`, only checkpoints that translate to that domain come into question.

        Raises:
            UnknownModel: no checkpoint of that name or version serves.
            OperationNotOffered: the checkpoint, or any, does not offer that.
            NotReady: nothing serves at all.
        """
        asked = model, capability, to
        if asked not in self._chosen:
            self._chosen[asked] = self._choose(model, capability, to)
        return self._chosen[asked]

    def models(self) -> list[Model]:
        """Return the newest model of each name, by name."""
        return list(self._newest.values())

    def versions(self, name: str) -> list[Model]:
        """Return the models of one name, highest version first."""
        return self.entries[name].models if name in self.entries else []

    def listing(self) -> list[ModelStatus]:
        """Return every name that was found, in their order."""
        return [self._status(name, entry, entry.model) for name, entry in self.entries.items()]

    def status(self, model: str) -> ModelStatus:
        """Return what is known of a name, or of a version that serves (`name@version`).

        Raises:
            UnknownModel: there is no checkpoint of that name, or that version does not serve.
        """
        name, at, _ = model.partition("@")
        entry = self.entries.get(name)
        if entry is None:
            raise UnknownModel.among(self.entries)
        return self._status(name, entry, self._named(model) if at else entry.model)

    def __str__(self) -> str:
        """Name what is being served, for a line of log."""
        served = (f"{name}@{version}" for name, entry in self.entries.items() for version in entry.loaded)
        return ", ".join(served) or "no checkpoints yet"

    def content(self) -> str:
        """Return a text that is the same in every worker that serves the same, from the same files."""
        return repr(
            [
                (name, version, one.fingerprint)
                for name, entry in self.entries.items()
                for version, one in entry.loaded.items()
            ]
        )

    def has_more_than(self, before: Catalogue) -> bool:
        """Say whether there is a model that did not serve before."""
        known = {id(model) for entry in before.entries.values() for model in entry.models}
        return any(id(model) not in known for entry in self.entries.values() for model in entry.models)

    def report(self) -> None:
        """Tell the metrics, and the log where several checkpoints claim to be the default of an operation."""
        for name, entry in self.entries.items():
            metrics.MODEL_VERSION.labels(name).set(entry.model.manifest.version if entry.model else 0)
        unloaded = sum(entry.is_unloaded for entry in self.entries.values())
        metrics.MODELS.labels("serving").set(len(self._newest))
        metrics.MODELS.labels("unloaded").set(unloaded)
        metrics.MODELS.labels("refused").set(len(self.entries) - len(self._newest) - unloaded)
        for operation, default in self._defaults.items():
            if len(claimants := self._claimants(operation)) > 1:
                logger.warning("%s all claim to be default for %s; %s is", claimants, operation, default)

    def _claimants(self, operation: Operation) -> list[str]:
        return [name for name, model in self._newest.items() if operation in model.manifest.default_for]

    def _choose(self, model: str | None, capability: Capability, to: str | None) -> Model:
        if not self._newest:
            raise NotReady("No checkpoint is being served; GET /models says why.")
        if model is not None:
            chosen = self._named(model)
            if not is_supported(chosen, capability, to):
                raise OperationNotOffered(why_unsupported(chosen.manifest, capability, to))
            return chosen
        names = [name for name, candidate in self._newest.items() if is_supported(candidate, capability, to)]
        if not names:
            raise OperationNotOffered(
                f"No checkpoint that is being served offers {capability}{' there' if to else ''}."
            )
        operation = NEEDS[capability][0]
        if (default := self._defaults.get(operation)) in names:
            return self._newest[default]
        claimants = [name for name in names if operation in self._newest[name].manifest.default_for]
        return self._newest[(claimants or names)[0]]

    def _named(self, model: str) -> Model:
        name, at, asked = model.partition("@")
        newest = self._newest.get(name)
        if newest is None:
            raise UnknownModel.among(self._newest)
        served = {str(one.manifest.version): one for one in self.versions(name)}
        if not at:
            return newest
        if asked not in served:
            listed = ", ".join(served)
            known = f"version {listed} is" if len(served) == 1 else f"versions {listed} are"
            raise UnknownModel(f"That version of {name} is not being served; {known}.")
        return served[asked]

    def _status(self, name: str, entry: Entry, model: Model | None) -> ModelStatus:
        is_newest = model is entry.model
        return ModelStatus(
            name=name,
            version=model.manifest.version if model else max(entry.versions, default=None),
            versions=entry.versions,
            served=tuple(entry.loaded),
            state="serving" if model else "unloaded" if entry.is_unloaded else "refused",
            reason=entry.reason,
            manifest=model.manifest if model else None,
            preview=model.preview if model else None,
            default_for=tuple(
                operation for operation, default in self._defaults.items() if default == name and is_newest
            ),
        )
