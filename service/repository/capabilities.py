"""What can be asked of a checkpoint, and whether it has what that takes.

routes, protocols -> Catalogue.get -> is_supported, why_unsupported
"""

from __future__ import annotations

from typing import Literal

from service.checkpoint.manifest import Manifest, Operation
from service.inference.model import Model

Capability = Literal["encode", "decode", "generate", "translate", "reconstruct", "interpolate", "neighbours"]

NEEDS: dict[Capability, tuple[Operation, ...]] = {
    "encode": ("encode",),
    "decode": ("decode",),
    "generate": ("generate",),
    "translate": ("translate",),
    "reconstruct": ("encode", "decode"),
    "interpolate": ("generate",),
    "neighbours": ("encode",),
}
"""The operations a checkpoint must have for an offer; the first one's default claim counts."""

INSTEAD: dict[Capability, Operation] = {"interpolate": "decode"}
"""An alternative operation that also provides the capability."""

OF_FIXED_LATENTS: frozenset[Capability] = frozenset({"interpolate"})
"""What needs latents that are all of one shape."""

OF_REFERENCE: frozenset[Capability] = frozenset({"neighbours"})
"""What needs a reference file too."""


def is_supported(model: Model, capability: Capability, to: str | None) -> bool:
    """Say whether a model can do that; with `to`, whether it translates to that domain."""
    manifest = model.manifest
    if (
        not set(NEEDS[capability]) <= set(manifest.offers())
        and INSTEAD.get(capability) not in manifest.offers()
    ):
        return False
    if capability in OF_REFERENCE and model.reference is None:
        return False
    if capability in OF_FIXED_LATENTS and manifest.latent is not None and manifest.latent.is_free:
        return False
    return to is None or to in (manifest.operations.translate or {})


def why_unsupported(manifest: Manifest, capability: Capability, to: str | None) -> str:
    """Return the sentence that says why a checkpoint cannot do that."""
    if to is not None and manifest.operations.translate:
        return f"{manifest.name} translates to {', '.join(manifest.operations.translate)} only."
    if capability in OF_REFERENCE and "encode" in manifest.offers():
        return f"{manifest.name} has no reference file, so it does not offer {capability}."
    if capability in OF_FIXED_LATENTS and manifest.latent is not None and manifest.latent.is_free:
        return f"{manifest.name} has latents of no fixed size, so it does not offer {capability}."
    return f"{manifest.name} does not offer {capability}; it offers {', '.join(manifest.offers())}."
