"""What can be wrong with an image that was sent; the messages are meant for the sender."""

from __future__ import annotations


class ImageError(Exception):
    """An image that cannot be used."""


class UnsupportedImage(ImageError):
    """The bytes are in a format that is not read, or the array does not have the form of images."""


class ImageTooLarge(ImageError):
    """The header declares more pixels than are allowed."""


class BrokenImage(ImageError):
    """The file is truncated or damaged."""


BROKEN_HEADER = "the image's header is truncated or damaged"
DAMAGED = "the image is truncated or damaged"
TOO_MANY_PARTS = "the image has too many parts"
