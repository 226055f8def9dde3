"""The command line of `python -m training import`."""

from __future__ import annotations

import argparse
from pathlib import Path

OPERATIONS = ("encode", "decode", "generate", "translate")
INPUTS = 100
MAX_PIXELS = 1024 * 1024
MOST = 1 << 30

KINDS = {
    "diffusers": "an autoencoder's folder of diffusers: AutoencoderKL, AutoencoderTiny or VQModel",
    "cyclegan": "one generator that pytorch-CycleGAN-and-pix2pix saved, or two for both directions",
    "pythae": "a model's folder of pythae, with its default networks or its convolutions for MNIST",
    "python": "a torch module by its name in Python, package.module:attribute; runs its code",
}


def add_kinds(command: argparse.ArgumentParser) -> list[argparse.ArgumentParser]:
    """Add a parser for every kind of source, and return them for options that other commands have too."""
    kinds = command.add_subparsers(required=True, metavar="kind", dest="kind")
    added = []
    for kind, text in KINDS.items():
        one = kinds.add_parser(kind, help=text, description=f"Make a checkpoint of {text}.")
        if kind == "cyclegan":
            one.add_argument("paths", nargs="+", type=Path, metavar="file", help="such as latest_net_G_A.pth")
            _add_domains(one, required=True)
        elif kind == "python":
            one.add_argument("object", help="a module, or a function without arguments that returns one")
            _add_module_options(one)
        else:
            one.add_argument("path", type=Path, help="the folder")
        _add_trial_options(one)
        added.append(one)
    return added


def _add_domains(one: argparse.ArgumentParser, *, required: bool) -> None:
    one.add_argument(
        "--domains", nargs=2, required=required, metavar=("A", "B"), help="names of the two domains"
    )
    one.add_argument("--to", metavar="NAME", help="the domain it translates to (default: the second)")


def _add_module_options(one: argparse.ArgumentParser) -> None:
    group = one.add_argument_group("what the module does")
    group.add_argument(
        "--operation",
        nargs="+",
        required=True,
        choices=OPERATIONS,
        metavar="OPERATION",
        help=f"{', '.join(OPERATIONS)}: its method of that name; of one alone the module itself will do",
    )
    group.add_argument("--channels", type=int, default=3, choices=(1, 3), help="of its images (default: 3)")
    group.add_argument(
        "--stride",
        type=_stride,
        default=1,
        metavar="N",
        help="without --size: it takes images of any size that is a multiple of this (default: 1)",
    )
    group.add_argument(
        "--range",
        type=float,
        nargs=2,
        default=(-1.0, 1.0),
        metavar=("LOW", "HIGH"),
        help="of its images' values (default: -1 1)",
    )
    group.add_argument(
        "--latent",
        type=_axis,
        nargs="+",
        metavar="N",
        help="axes of its latent, such as 16, or 4 0 0 where height and width are the image's by the stride",
    )
    _add_domains(one, required=False)


def _add_trial_options(one: argparse.ArgumentParser) -> None:
    group = one.add_argument_group("trial")
    group.add_argument(
        "--inputs",
        type=_several,
        default=INPUTS,
        metavar="N",
        help=f"random and real inputs to compare on, as many of each (default: {INPUTS})",
    )
    group.add_argument(
        "--images", type=Path, metavar="DIR", help="real images (default: parts of two photographs)"
    )
    group.add_argument(
        "--size",
        type=_side,
        metavar="N",
        help="side of the images to try in pixels; of a python module the side it takes",
    )
    group.add_argument(
        "--max-pixels",
        type=_positive,
        default=MAX_PIXELS,
        metavar="N",
        help=f"most pixels of an image that is served, where sizes are free (default: {MAX_PIXELS})",
    )
    group.add_argument("--title", help="what it is, in a few words")
    group.add_argument("--licence", default="unknown", help="of the weights (default: unknown)")


def _positive(text: str) -> int:
    return _whole(text, 1, MOST)


def _several(text: str) -> int:
    return _whole(text, 2, MOST)


def _side(text: str) -> int:
    return _whole(text, 1, 4096)


def _stride(text: str) -> int:
    return _whole(text, 1, 1024)


def _axis(text: str) -> int:
    return _whole(text, 0, MOST)


def _whole(text: str, least: int, most: int) -> int:
    """Return a whole number within the bounds, which for images and latents are those of a manifest."""
    if not text.isdecimal() or not least <= int(text) <= most:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number from {least} to {most}")
    return int(text)
