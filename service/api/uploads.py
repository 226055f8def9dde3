"""The images of one request, in whichever form they came, on their way to the model's tensor.

request_bodies -> Upload -> tensor, (N, C, H, W) float32 -> Model.run
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from service.checkpoint.manifest import ImageSpec
from service.errors import BodyTooLarge, InvalidField, Location, ServiceError, UnsupportedMediaType
from service.media import base64_text, images
from service.media.image_errors import BrokenImage, ImageError, ImageTooLarge
from service.observability import metrics, traces
from service.runtime.off_loop import run_by_size, run_decoder

IN_PLACE_BYTES = 1 << 16
"""Pixels of an array that are fitted on the event loop; more belong in a thread."""


class Upload:
    """One or more images: image files, also as text, or one uint8 array, (N, H, W) or (N, H, W, C)."""

    def __init__(
        self,
        images: list[bytes] | list[str] | list[bytes | str] | NDArray[np.uint8],
        places: Sequence[Location] | None = None,
        first: int = 0,
        names: Sequence[str] = (),
    ) -> None:
        """Keep the images as they came, text as base64 or as data URLs; nothing is decoded yet.

        A list is emptied as it is decoded: an image and its text together would take more than is counted.
        `places` says where in the body each file was, where that is not `images`. The first one is number
        `first` of all that come in the request. `names` are those that the files have, for refusals.
        """
        self._images = images
        self._places = places or [("body", "images", name) for name in names]
        self._names = names
        self.count = len(images)
        self.first = first

    async def tensor(self, spec: ImageSpec, max_pixels: int) -> NDArray[np.float32]:
        """Return the images fitted to a model, (N, C, H, W), once; large ones are decoded in a thread.

        Raises:
            UnsupportedMediaType, BodyTooLarge, InvalidField: an image cannot be used; says which and why.
        """
        started = time.perf_counter()
        fitted = await self._fit(spec, max_pixels)
        metrics.PREPROCESS.end(started, traces.recorded(), {traces.ROWS: len(fitted)})
        return fitted

    async def _fit(self, spec: ImageSpec, max_pixels: int) -> NDArray[np.float32]:
        if isinstance(self._images, np.ndarray):
            return await self._fit_array(self._images, spec, max_pixels)
        places = self._places or [("body", "images", i) for i in range(len(self._images))]
        fitted = [
            await _decode(self._images.pop(0), self._title(i), place, spec, max_pixels)
            for i, place in enumerate(places)
        ]
        if len(fitted) == 1:
            return fitted[0][None]
        if len({one.shape for one in fitted}) > 1:
            raise InvalidField.at(places[0][:2], "for this model all images of a request must be of one size")
        return np.stack(fitted)

    def _title(self, position: int) -> str:
        """Return what a refusal calls an image."""
        name = f" ({self._names[position]})" if self._names else ""
        return f"Image {self.first + position}{name}"

    @staticmethod
    async def _fit_array(array: NDArray[np.uint8], spec: ImageSpec, max_pixels: int) -> NDArray[np.float32]:
        max_pixels = spec.pixel_limit(max_pixels)
        if array.shape[1] * array.shape[2] > max_pixels:
            raise BodyTooLarge(f"An image may have {max_pixels} pixels at most.")
        try:
            images.check_fitted(array.shape[2], array.shape[1], spec, max_pixels)
            if array.size <= IN_PLACE_BYTES:
                return images.from_array(array, spec)
            return await run_decoder(array.nbytes, images.from_array, array, spec)
        except ImageTooLarge as error:
            raise BodyTooLarge(f"An image of this array: {error}.") from None
        except ImageError as error:
            raise InvalidField.at(("body",), str(error)) from None


def _from_text(text: str, place: Location) -> bytes:
    try:
        return base64_text.decode(text)
    except ValueError as error:
        raise InvalidField.at(place, str(error)) from None


def check_axes(shape: tuple[int, ...], place: Location) -> None:
    """Refuse an array of images that may be meant in two ways.

    Raises:
        InvalidField: of three axes the last has 3 or 4 numbers.
    """
    if len(shape) == 3 and shape[2] in (3, 4):
        one, many = (1, *shape), (*shape, 1)
        raise InvalidField.at(
            place, f"the array is one colour image or {shape[0]} grey ones; send it as {one} or as {many}"
        )


async def _decode(
    image: bytes | str, title: str, place: Location, spec: ImageSpec, max_pixels: int
) -> NDArray[np.float32]:
    if isinstance(image, str):
        image = await run_by_size(len(image), _from_text, image, place)
    try:
        if images.is_large(image):
            return await run_decoder(len(image), images.decode, image, spec, max_pixels)
        return images.decode(image, spec, max_pixels)
    except ImageError as error:
        raise _refusal(error, title, place) from None


def _refusal(error: ImageError, title: str, place: Location) -> ServiceError:
    """Return the answer to an image that cannot be used."""
    if isinstance(error, ImageTooLarge):
        return BodyTooLarge(f"{title}: {error}.")
    if isinstance(error, BrokenImage):
        return InvalidField.at(place, str(error))
    return UnsupportedMediaType(f"{title}: {error}.")
