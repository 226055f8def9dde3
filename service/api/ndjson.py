"""The members of an answer as lines of JSON: one per image, then one that says it is the end.

    rendering, responder -> of_images, of_end -> application/x-ndjson

    {"index": 0, "image": "<base64 PNG>", "seed": 7, "label": "Bag"}
    {"done": {"count": 1, "model": "fashion-cgan", "version": 1, "request_id": "4f1c2a9be07d5c31"}}

Where the stream fails, its last line is {"error": <problem>} instead, with the members of any refusal.
"""

from __future__ import annotations

from collections.abc import Iterable

from service.api.payload import Members, dump

ONE_OF = {
    "images": "image",
    "latents": "latent",
    "seeds": "seed",
    "labels": "label",
    "mse": "mse",
    "psnr": "psnr",
    "ssim": "ssim",
    "l1": "l1",
    "typicality": "typicality",
    "cycle": "cycle",
}
"""Members that have a value for each image, and what one of the values is called."""


def of_images(members: Members, first: int) -> list[bytes]:
    """Return a line for each image, numbered from `first` on."""
    return [dump({"index": first + i, **row}) + b"\n" for i, row in enumerate(_rows(members))]


def of_end(members: Members, count: int) -> bytes:
    """Return the line after `count` images, with the members that are not of one image."""
    rest = {name: value for name, value in members.items() if name not in ONE_OF}
    return dump({"done": {"count": count, **rest}}) + b"\n"


def _rows(members: Members) -> Iterable[Members]:
    """Yield the values of each image by name."""
    columns = {
        ONE_OF[name]: _rows(value) if isinstance(value, dict) else value
        for name, value in members.items()
        if name in ONE_OF
    }
    for values in zip(*columns.values(), strict=True):
        yield dict(zip(columns, values, strict=True))
