"""Autoencoder folders of diffusers: config.json and diffusion_pytorch_model.safetensors.

The networks are diffusers' own (`pip install -e '.[import]'`), so what is compared is what its users run.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from training.importing import weights
from training.importing.source import ImageFormat, LatentFormat, Source, SourceError, check_channels

CONFIG = "config.json"
WEIGHTS = "diffusion_pytorch_model.safetensors"
PROBE = 64
"""Side of the image whose latent shows the stride."""


class _Half(nn.Module):
    """One way through an autoencoder."""

    def __init__(self, autoencoder: Any) -> None:
        super().__init__()
        self.autoencoder = autoencoder


class MeanAndVariance(_Half):
    """The posterior of an AutoencoderKL: images -> mean and log variance."""

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return both, (N, C, h, w)."""
        posterior = self.autoencoder.encode(images).latent_dist
        return posterior.mean, posterior.logvar


class Latents(_Half):
    """The latents of an autoencoder without a distribution, not quantised yet: images -> latents."""

    def forward(self, images: Tensor) -> Tensor:
        """Return (N, C, h, w)."""
        latents: Tensor = self.autoencoder.encode(images).latents
        return latents


class Images(_Half):
    """The images of latents, quantised first where the autoencoder does that."""

    def forward(self, latents: Tensor) -> Tensor:
        """Return (N, channels, H, W)."""
        images: Tensor = self.autoencoder.decode(latents).sample
        return images


ENCODERS: dict[str, type[nn.Module]] = {
    "AutoencoderKL": MeanAndVariance,
    "AutoencoderTiny": Latents,
    "VQModel": Latents,
}
"""What encodes, by the class of the autoencoder."""


def read(folder: Path) -> Source:
    """Return the two halves of an autoencoder.

    Raises:
        SourceError: the folder holds something else, or diffusers is not installed.
    """
    config = weights.read_config(folder / CONFIG)
    kind = str(config.get("_class_name") or "unknown")
    if kind not in ENCODERS:
        raise SourceError(
            f"{CONFIG} is that of a {kind}; {', '.join(ENCODERS)} can be imported"
            + (" (of a pipeline, give its folder `vae`)" if (folder / "model_index.json").exists() else "")
        )
    if not (folder / WEIGHTS).is_file():
        raise SourceError(
            f"{folder.name} has no {WEIGHTS}; weights that are pickled are not read: "
            "save_pretrained(folder, safe_serialization=True) writes them as tensors"
        )
    autoencoder = _load(folder, kind)
    channels = check_channels(_number(config, "in_channels"), _number(config, "out_channels"))
    encode = ENCODERS[kind](autoencoder)
    with torch.inference_mode():
        latents = encode(torch.zeros(1, channels, PROBE, PROBE))
    latents = latents[0] if isinstance(latents, tuple) else latents
    return Source(
        family=kind,
        title=f"{kind} of diffusers",
        operations={"encode": encode.eval(), "decode": Images(autoencoder).eval()},
        image=ImageFormat(channels, None, None, stride=PROBE // latents.shape[-1]),
        latent=LatentFormat(
            (latents.shape[1], None, None),
            float(str(config.get("scaling_factor") or 1.0)),
            float(str(config.get("shift_factor") or 0.0)),
        ),
        weights_sha256=weights.sha256(folder / WEIGHTS),
        libraries=("diffusers",),
        settings=config,
    )


def _number(config: dict[str, Any], name: str) -> int:
    value = config.get(name, 3)
    if type(value) is not int:
        raise SourceError(f"{CONFIG}: {name} must be a whole number")
    return value


def _load(folder: Path, kind: str) -> nn.Module:
    """Return the autoencoder of diffusers, from the folder alone: nothing is downloaded."""
    try:
        import diffusers
    except ImportError:
        raise SourceError("diffusers is not installed: pip install -e '.[import]'") from None
    try:
        loaded: nn.Module = getattr(diffusers, kind).from_pretrained(
            folder,
            torch_dtype=torch.float32,
            use_safetensors=True,
            local_files_only=True,
            low_cpu_mem_usage=False,
        )
    except (OSError, ValueError, RuntimeError, TypeError, KeyError) as error:
        raise SourceError(f"diffusers cannot load {folder.name} ({type(error).__name__})") from None
    return loaded.eval().requires_grad_(requires_grad=False)
