"""Small autoencoders of diffusers: made and saved, or loaded and run as their users do.

    python autoencoders.py make FOLDER
    python autoencoders.py run FOLDER IN.npz OUT.npz

`run` takes the images of the one and writes what the autoencoder makes of them to the other.
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL, AutoencoderTiny, VQModel


def make(folder: Path) -> None:
    torch.manual_seed(0)
    blocks = {"down_block_types": ("DownEncoderBlock2D",) * 3, "up_block_types": ("UpDecoderBlock2D",) * 3}
    widths = {"block_out_channels": (8, 16, 16), "norm_num_groups": 4, "layers_per_block": 1}
    kl = AutoencoderKL(
        **blocks, **widths, latent_channels=4, sample_size=32, scaling_factor=0.36, shift_factor=0.11
    )
    tiny = AutoencoderTiny(
        encoder_block_out_channels=(8, 8, 8, 8),
        decoder_block_out_channels=(8, 8, 8, 8),
        num_encoder_blocks=(1, 1, 1, 1),
        num_decoder_blocks=(1, 1, 1, 1),
    )
    vq = VQModel(**blocks, **widths, latent_channels=3, num_vq_embeddings=16)
    for name, model in (("kl", kl), ("tiny", tiny), ("vq", vq)):
        model.eval().save_pretrained(folder / name)


def load(folder: Path) -> torch.nn.Module:
    kind = json.loads((folder / "config.json").read_text())["_class_name"]
    classes = {"AutoencoderKL": AutoencoderKL, "AutoencoderTiny": AutoencoderTiny, "VQModel": VQModel}
    return classes[kind].from_pretrained(folder).eval()


@torch.inference_mode()
def run(folder: Path, images: np.ndarray) -> dict[str, np.ndarray]:
    model = load(folder)
    encoded = model.encode(torch.from_numpy(images))
    found = {}
    if isinstance(model, AutoencoderKL):
        latents = encoded.latent_dist.mode()
        found["logvar"] = encoded.latent_dist.logvar.numpy()
    else:
        latents = encoded.latents
    return {**found, "latents": latents.numpy(), "images": model.decode(latents).sample.numpy()}


if __name__ == "__main__":
    command, folder, *files = sys.argv[1:]
    if command == "make":
        make(Path(folder))
    else:
        np.savez(files[1], **run(Path(folder), np.load(files[0])["images"]))
    print(json.dumps(command))
