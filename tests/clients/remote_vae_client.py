"""Offload an autoencoder of diffusers with its own functions, and compare with running it here.

    python remote_vae_client.py URL FOLDER

URL is that of the checkpoint's routes, FOLDER the autoencoder. Prints how far off each way is: of images in
grey levels, of tensors in their own units.
"""

import json
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL
from diffusers.image_processor import VaeImageProcessor
from diffusers.utils.remote_utils import remote_decode, remote_encode
from PIL import Image

URL, FOLDER = sys.argv[1:]
SCALE, SHIFT = 0.36, 0.11
vae = AutoencoderKL.from_pretrained(FOLDER).eval()
processor = VaeImageProcessor(vae_scale_factor=2 ** (len(vae.config.block_out_channels) - 1))
latents = torch.randn(1, 4, 6, 10, generator=torch.Generator().manual_seed(13))


@torch.inference_mode()
def decoded(z: torch.Tensor) -> torch.Tensor:
    return vae.decode(z.float() / SCALE + SHIFT).sample


def grey_levels(found: Any, expected: torch.Tensor) -> float:
    shown = processor.postprocess(expected, output_type="pil")[0]
    return float(np.abs(np.asarray(found, np.float32) - np.asarray(shown, np.float32)).max())


def decode(tensor: torch.Tensor = latents, **options: Any) -> Any:
    return remote_decode(f"{URL}/decode", tensor, scaling_factor=SCALE, shift_factor=SHIFT, **options)


def difference(found: torch.Tensor, expected: torch.Tensor) -> float:
    assert found.shape == expected.shape
    return float((found.float() - expected).abs().max())


def refused(ask: Callable[[], Any]) -> str:
    try:
        ask()
    except RuntimeError as error:
        return str(error)
    return "not refused"


expected = decoded(latents)
found: dict[str, Any] = {}
found["png"] = grey_levels(decode(image_format="png"), expected)
jpg = decode(image_format="jpg")
found["jpg"] = [
    jpg.size,
    float(
        np.abs(
            np.asarray(jpg, np.float32)
            - np.asarray(processor.postprocess(expected, output_type="pil")[0], np.float32)
        ).mean()
    ),
]
found["float32"] = difference(decode(output_type="pt", return_type="pt"), expected)
for dtype in (torch.float16, torch.bfloat16):
    rounded = latents.to(dtype)
    answer = decode(rounded, output_type="pt", return_type="pt")
    assert answer.dtype == dtype
    found[str(dtype)] = difference(answer, decoded(rounded)) / float(expected.abs().max())
found["pt with a processor"] = grey_levels(decode(output_type="pt", processor=processor), expected)
found["partial"] = grey_levels(decode(output_type="pt", partial_postprocess=True), expected)
(shown,) = decode(output_type="pil", processor=processor)
found["pil with a processor"] = grey_levels(shown, expected)
both = torch.cat([latents, -latents])
found["batch"] = difference(decode(both, output_type="pt", return_type="pt"), decoded(both))
unscaled = remote_decode(
    f"{URL}/decode", latents / SCALE + SHIFT, do_scaling=False, output_type="pt", return_type="pt"
)
found["no scaling"] = difference(unscaled, expected)
own = remote_decode(f"{URL}/decode", latents, output_type="pt", return_type="pt")
found["the checkpoint's scaling"] = difference(own, expected)
packed = latents.view(1, 4, 3, 2, 5, 2).permute(0, 2, 4, 1, 3, 5).reshape(1, 15, 16)
found["packed"] = difference(
    decode(packed, height=24, width=40, output_type="pt", return_type="pt"), expected
)

pixels = np.random.default_rng(0).integers(0, 256, (32, 24, 3), np.uint8)
# remote_encode reads what `contiguous` returns after it was freed, unless the tensor is contiguous already.
image = processor.preprocess(Image.fromarray(pixels)).contiguous()
with torch.inference_mode():
    mean = (vae.encode(image).latent_dist.mode() - SHIFT) * SCALE
for name, given in (("PIL", Image.fromarray(pixels)), ("tensor", image)):
    answer = remote_encode(f"{URL}/encode", given, scaling_factor=SCALE, shift_factor=SHIFT)
    found[f"encode {name}"] = difference(answer, mean)
half = remote_encode(f"{URL}/encode", image.half(), scaling_factor=SCALE, shift_factor=SHIFT)
assert half.dtype == torch.float16
found["encode half"] = difference(half, mean)
back = decode(remote_encode(f"{URL}/encode", Image.fromarray(pixels), SCALE, SHIFT), image_format="png")
found["there and back"] = grey_levels(back, decoded(mean))

found["refusals"] = [
    refused(lambda: decode(latents[:, :3])),
    refused(lambda: decode(torch.zeros(1, 4, 4000, 4000), image_format="png")),
    refused(lambda: remote_decode(f"{URL}x/decode", latents, scaling_factor=SCALE)),
    refused(lambda: remote_encode(f"{URL}/encode", torch.zeros(1, 3, 30, 30))),
]
print(json.dumps(found))
