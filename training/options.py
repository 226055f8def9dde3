"""Command line options made from a config's fields, so that each is written down once."""

from __future__ import annotations

import argparse
from typing import Any, Literal, get_args, get_origin

from pydantic import ValidationError

from training.config import Config


def add_options(parser: argparse.ArgumentParser, kind: type[Config]) -> None:
    """Give the parser one option for every field of the config."""
    group = parser.add_argument_group("settings of this recipe")
    for name, field in kind.model_fields.items():
        shown = "" if field.default is None else f" (default: {field.default})"
        choices = get_args(field.annotation) if get_origin(field.annotation) is Literal else None
        group.add_argument(
            f"--{name.replace('_', '-')}",
            default=None,
            choices=choices,
            metavar=None if choices else _metavar(field.annotation),
            help=f"{field.description}{shown}",
        )


def read_config(kind: type[Config], options: argparse.Namespace) -> Config:
    """Return the typed config from parsed options.

    Raises:
        ValueError: an option is out of range; the message names it.
    """
    given = {name: getattr(options, name) for name in kind.model_fields if getattr(options, name) is not None}
    try:
        return kind.model_validate(given)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        option = str(first["loc"][0]).replace("_", "-")
        raise ValueError(
            f"--{option} {given[str(first['loc'][0])]}: {first['msg'][0].lower()}{first['msg'][1:]}"
        ) from None


def _metavar(annotation: Any) -> str:
    kinds = [part for part in (annotation, *get_args(annotation)) if part in (int, float)]
    return "N" if kinds and kinds[0] is int else "X"
