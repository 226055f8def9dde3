"""What can be asked of a checkpoint, and whether it has what that takes.

routes, protocols -> Serving.get -> is_offered, lacking
"""

from __future__ import annotations

from typing import Literal

from service.checkpoint.manifest import Manifest, Operation
from service.inference.model import Model

Offer = Literal["encode", "decode", "generate", "translate", "reconstruct", "interpolate", "neighbours"]

NEEDS: dict[Offer, tuple[Operation, ...]] = {
    "encode": ("encode",),
    "decode": ("decode",),
    "generate": ("generate",),
    "translate": ("translate",),
    "reconstruct": ("encode", "decode"),
    "interpolate": ("generate",),
    "neighbours": ("encode",),
}
"""The operations a checkpoint must have for an offer; the first one's default claim counts."""

INSTEAD: dict[Offer, Operation] = {"interpolate": "decode"}
"""An operation that will do in the place of all that an offer needs."""

OF_FIXED_LATENTS: frozenset[Offer] = frozenset({"interpolate"})
"""What needs latents that are all of one shape."""

OF_REFERENCE: frozenset[Offer] = frozenset({"neighbours"})
"""What needs a reference file too."""


def is_offered(model: Model, offer: Offer, to: str | None) -> bool:
    """Say whether a model can do that; with `to`, whether it translates to that domain."""
    manifest = model.manifest
    if not set(NEEDS[offer]) <= set(manifest.offers()) and INSTEAD.get(offer) not in manifest.offers():
        return False
    if offer in OF_REFERENCE and model.reference is None:
        return False
    if offer in OF_FIXED_LATENTS and manifest.latent is not None and manifest.latent.is_free:
        return False
    return to is None or to in (manifest.operations.translate or {})


def lacking(manifest: Manifest, offer: Offer, to: str | None) -> str:
    """Return the sentence that says why a checkpoint cannot do that."""
    if to is not None and manifest.operations.translate:
        return f"{manifest.name} translates to {', '.join(manifest.operations.translate)} only."
    if offer in OF_REFERENCE and "encode" in manifest.offers():
        return f"{manifest.name} has no reference file, so it does not offer {offer}."
    if offer in OF_FIXED_LATENTS and manifest.latent is not None and manifest.latent.is_free:
        return f"{manifest.name} has latents of no fixed size, so it does not offer {offer}."
    return f"{manifest.name} does not offer {offer}; it offers {', '.join(manifest.offers())}."
