"""Images to tensors and back: the border between HTTP bodies and graphs.

    image_files, arrays -> decode, from_array -> tensors;  tensors -> to_pixels -> encode -> files

A body's PNG, JPEG or WebP becomes one (C, H, W) float32 array in the checkpoint's range, fitted exactly as
training fits the images of a folder; what a graph returns becomes 8-bit pixels and then a file again.
Decoders that shrink a JPEG as they read it are not used: they are faster, but give other pixels than those
that the model was trained on.
"""

from __future__ import annotations

import io
import math
from functools import lru_cache
from typing import Literal, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image, JpegImagePlugin  # noqa: F401 -- which JPEGs are written with

from service.checkpoint.manifest import ImageSpec
from service.media import image_files, png
from service.media.image_errors import DAMAGED, BrokenImage, ImageTooLarge, UnsupportedImage

BAND_PIXELS = 1 << 20
IN_PLACE_BYTES = 1 << 14
IN_PLACE_PIXELS = 1 << 18
Format = Literal["png", "webp", "jpeg"]
LOSSLESS_WEBP: dict[str, int | bool] = {"lossless": True, "quality": 0, "method": 0}
JPEG_QUALITY = 95


def decode(raw: bytes, spec: ImageSpec, max_pixels: int) -> NDArray[np.float32]:
    """Return the image in `raw` fitted to the model, (C, H, W) float32 in `spec.range`.

    Raises:
        UnsupportedImage: not a PNG, JPEG or WebP.
        ImageTooLarge: more than `max_pixels`; known from the header, nothing is decoded.
        BrokenImage: truncated or damaged; never half an image.
    """
    max_pixels = spec.pixel_limit(max_pixels)
    plain = png.read(raw, min(max_pixels, IN_PLACE_PIXELS))
    if plain is not None:
        check_fitted(plain.shape[1], plain.shape[0], spec, max_pixels)
        (only,) = from_array(plain[None], spec)
        return cast(NDArray[np.float32], only)
    opened = image_files.open_image(raw, max_pixels)
    check_fitted(*opened.size, spec, max_pixels)
    pixels = image_files.attempt(_fitted, opened.upright(), spec)
    if pixels is None:
        raise BrokenImage(DAMAGED)
    (only,) = _to_floats(pixels[None], spec)
    return cast(NDArray[np.float32], only)


def _fitted(image: Image.Image, spec: ImageSpec) -> NDArray[np.uint8]:
    return np.asarray(_fit(_flatten(image, spec), spec))


def check_fitted(width: int, height: int, spec: ImageSpec, max_pixels: int) -> None:
    """Check what an image becomes where sizes are free: a narrow one grows to the model's stride.

    Raises:
        ImageTooLarge: more than `max_pixels`.
    """
    if spec.height is None:
        width, height = _target((width, height), spec)
        if width * height > max_pixels:
            raise ImageTooLarge(
                f"the image becomes {width} x {height} here; at most {max_pixels} pixels are allowed"
            )


def is_large(raw: bytes) -> bool:
    """Say whether decoding takes longer than a few milliseconds and belongs in a thread.

    Only the header is read, and only of files of at most 16 KiB: a hostile header is as long as its file.
    Bytes that are not an image are not large, since refusing them is quick.
    """
    if len(raw) > IN_PLACE_BYTES:
        return True
    if pixels := png.size(raw):
        return pixels > IN_PLACE_PIXELS
    return image_files.is_large(raw, IN_PLACE_PIXELS)


def from_array(array: NDArray[np.uint8], spec: ImageSpec) -> NDArray[np.float32]:
    """Return images given as pixels fitted to the model, (N, C, H, W) float32 in `spec.range`.

    Args:
        array: uint8 of shape (N, H, W) or (N, H, W, C); C is 1 grey, 3 RGB or 4 RGBA.
        spec: the model's images.

    Raises:
        UnsupportedImage: another type or shape, or no pixels at all.
    """
    if array.ndim == 4 and array.shape[3] == 1:
        array = array[..., 0]
    shape = array.shape
    if array.dtype != np.uint8 or not (array.ndim == 3 or (array.ndim == 4 and shape[3] in (3, 4))):
        raise UnsupportedImage("an array of images is uint8, (N, H, W) or (N, H, W, C) with C 1, 3 or 4")
    if 0 in shape:
        raise UnsupportedImage("the array of images is empty")
    count, height, width = shape[:3]
    if _target((width, height), spec) == (width, height):
        if len(shape) == (3 if spec.channels == 1 else 4) and shape[3:] in ((), (3,)):
            return _to_floats(array, spec)
        # Nothing is resized, so the whole batch passes as one tall image.
        tall = Image.fromarray(array.reshape(count * height, *shape[2:]))
        pixels = np.asarray(_flatten(tall, spec)).reshape(count, height, width, -1)
    else:
        pixels = np.stack([np.asarray(_fit(_flatten(Image.fromarray(one), spec), spec)) for one in array])
    return _to_floats(pixels, spec)


def to_pixels(images: NDArray[np.float32], spec: ImageSpec) -> NDArray[np.uint8]:
    """Return a graph's images as 8-bit pixels, (N, H, W) or (N, H, W, 3).

    `images` is (N, C, H, W) and finite. Values outside `spec.range` are clipped; halves round to even.
    """
    low, high = spec.range
    levels = (images - np.float32(low)) * np.float32(255 / (high - low))
    np.rint(levels, out=levels)
    np.minimum(np.maximum(levels, 0, out=levels), 255, out=levels)
    pixels = levels.astype(np.uint8)
    return pixels[:, 0] if spec.channels == 1 else np.ascontiguousarray(pixels.transpose(0, 2, 3, 1))


def encode(pixels: NDArray[np.uint8], format: Format, quality: int | None = None) -> bytes:  # noqa: A002
    """Return one image, (H, W) or (H, W, 3), as a file.

    PNG keeps every pixel, and so does WebP without a quality (1 to 100).
    """
    if format == "png":
        return png.write(pixels)
    options: dict[str, int | bool] = {"quality": quality or JPEG_QUALITY, "subsampling": 0}
    if format == "webp":
        options = {"quality": quality} if quality else LOSSLESS_WEBP
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format, **options)
    return file.getvalue()


def resize(pixels: NDArray[np.uint8], spec: ImageSpec, width: int, height: int) -> NDArray[np.uint8]:
    """Return one image of a model, (H, W) or (H, W, 3), fitted to a size as images are to models."""
    target = spec.model_copy(update={"width": width, "height": height})
    return np.asarray(_fit(Image.fromarray(pixels), target))


def grid(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Lay images, (N, H, W[, 3]), edge to edge in reading order: nine become 3 x 3, one stays itself.

    The grid has ceil(sqrt(N)) columns and as few rows as hold all; cells left over are black.
    """
    count, height, width, *colour = pixels.shape
    columns = math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    cells = np.zeros((rows * columns, height, width, *colour), np.uint8)
    cells[:count] = pixels
    table = cells.reshape(rows, columns, height, width, *colour).swapaxes(1, 2)
    return table.reshape(rows * height, columns * width, *colour)


def _flatten(image: Image.Image, spec: ImageSpec) -> Image.Image:
    """Return the image as 8-bit grey or RGB, laid over `spec.fill` where it is transparent.

    It goes band by band, since the layers of a 50-megapixel image would take a gigabyte.
    """
    rows = max(1, BAND_PIXELS // image.width)
    if image.height <= rows:
        return _flatten_band(image, spec)
    flat = Image.new("L" if spec.channels == 1 else "RGB", image.size)
    for top in range(0, image.height, rows):
        band = image.crop((0, top, image.width, min(top + rows, image.height)))
        flat.paste(_flatten_band(band, spec), (0, top))
    return flat


def _flatten_band(image: Image.Image, spec: ImageSpec) -> Image.Image:
    if image.mode.startswith("I"):  # 16-bit grey, which `convert` would clip instead of scale
        image = _from_16_bit(image, spec)
    if image.mode in ("P", "PA", "LA", "RGBA") or "transparency" in image.info:
        image = image.convert("RGBA")
        ground = Image.new("RGBA", image.size, (spec.fill, spec.fill, spec.fill, 255))
        image = Image.alpha_composite(ground, image)
    return image.convert("L" if spec.channels == 1 else "RGB")


def _from_16_bit(image: Image.Image, spec: ImageSpec) -> Image.Image:
    levels = np.asarray(image, np.int32)
    pixels = ((levels + 128) // 257).clip(0, 255).astype(np.uint8)
    if "transparency" in image.info:
        pixels[levels == image.info["transparency"]] = spec.fill
    return Image.fromarray(pixels)


def _target(size: tuple[int, int], spec: ImageSpec) -> tuple[int, int]:
    """Return the (width, height) of the model's image for an image of `size`."""
    if spec.width is not None and spec.height is not None:
        return spec.width, spec.height
    return spec.side(size[0]), spec.side(size[1])


def _fit(image: Image.Image, spec: ImageSpec) -> Image.Image:
    """Resize to the model's size; an image that has it passes through untouched."""
    target = _target(image.size, spec)
    if image.size == target:
        return image
    if spec.width is None:
        shrinks = target[0] * target[1] < image.width * image.height
        return image.resize(target, Image.Resampling.BOX if shrinks else Image.Resampling.BICUBIC)
    scale = min(target[0] / image.width, target[1] / image.height)
    width, height = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    resized = image.resize((width, height), Image.Resampling.BOX if scale < 1 else Image.Resampling.BICUBIC)
    canvas = Image.new(image.mode, target, spec.fill if spec.channels == 1 else (spec.fill,) * 3)
    canvas.paste(resized, ((target[0] - width) // 2, (target[1] - height) // 2))
    return canvas


def _to_floats(pixels: NDArray[np.uint8], spec: ImageSpec) -> NDArray[np.float32]:
    """Map (N, H, W[, C]) pixels to (N, C, H, W) floats in the model's range."""
    channels_first = pixels.reshape(*pixels.shape[:3], spec.channels).transpose(0, 3, 1, 2)
    return _levels(spec.range)[channels_first]


@lru_cache
def _levels(value_range: tuple[float, float]) -> NDArray[np.float32]:
    """Return the float of each of the 256 levels; 0 and 255 are exactly the ends of the range."""
    low, high = value_range
    return (low + np.arange(256) / 255 * (high - low)).astype(np.float32)
