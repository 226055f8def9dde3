"""Any torch module that Python can import, with the operations it is declared to have.

    python -m training import python package.module:attribute --operation encode decode ...

The attribute is an nn.Module or a function without arguments that returns one. Its code is run: that of the
person who imports it.
"""

from __future__ import annotations

import importlib
import inspect
import re
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from training.importing import weights
from training.importing.source import (
    ImageFormat,
    LatentFormat,
    Source,
    SourceError,
    check_domains,
    ready,
)

MAX_AXES = 4
NAME = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")


class Method(nn.Module):
    """One method of a module, as a module."""

    def __init__(self, module: nn.Module, name: str) -> None:
        super().__init__()
        self.module = module
        self.name = name

    def forward(self, inputs: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """Return what the method returns."""
        returned: Tensor | tuple[Tensor, Tensor] = getattr(self.module, self.name)(inputs)
        return returned


def read(
    name: str,
    operations: Sequence[str],
    image: ImageFormat,
    latent: Sequence[int] | None,
    domains: tuple[str, str] | None,
    to: str | None,
) -> Source:
    """Return a module's operations: its method of that name, or the module itself where it has none.

    Raises:
        SourceError: it cannot be imported, is no module, or an option that it needs is missing.
    """
    if not NAME.fullmatch(name):
        raise SourceError("a name such as package.module:attribute is needed")
    if ("translate" in operations) != (domains is not None):
        raise SourceError("--domains A B belongs to --operation translate, and is needed there")
    if domains is not None:
        check_domains(domains, to)
    needs_latent = [one for one in operations if one != "translate"]
    if needs_latent and latent is None:
        raise SourceError(f"--latent is needed for {', '.join(needs_latent)}: its axes, such as 16 or 4 8 8")
    latent_format = _latent(latent, image) if latent is not None and needs_latent else None
    module = ready(_found(name))
    target = to or (domains[1] if domains else "")
    found = {
        f"translate.{target}" if one == "translate" else one: _operation(module, one, len(operations))
        for one in operations
    }
    return Source(
        family=type(module).__name__,
        title=f"{type(module).__name__} of {name}",
        operations=found,
        image=image,
        latent=latent_format,
        domains=domains,
        weights_sha256=_sha256(module),
        settings={"object": name},
    )


def _found(name: str) -> nn.Module:
    """Return the module under a name, made where the name is of a function."""
    path, _, attribute = name.partition(":")
    sys.path.insert(0, str(Path.cwd()))
    try:
        found: object = importlib.import_module(path)
        for part in attribute.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise SourceError(f"{name} cannot be imported: {error}") from None
    finally:
        sys.path.pop(0)
    if inspect.isclass(found) or (callable(found) and not isinstance(found, nn.Module)):
        try:
            found = found()
        except TypeError as error:
            raise SourceError(f"{name} cannot be called without arguments: {error}") from None
    if not isinstance(found, nn.Module):
        raise SourceError(
            f"{name} is of type {type(found).__name__}; an nn.Module, or what returns one, is needed"
        )
    return found


def _operation(module: nn.Module, operation: str, count: int) -> nn.Module:
    if callable(getattr(module, operation, None)):
        return Method(module, operation).eval()
    if count > 1:
        raise SourceError(
            f"{type(module).__name__} has no method {operation}; "
            "with more than one --operation it needs one each"
        )
    return module


def _latent(axes: Sequence[int], image: ImageFormat) -> LatentFormat:
    """Return the latent; in `4 0 0` height and width are those of the image, divided by the stride."""
    if len(axes) > MAX_AXES:
        raise SourceError(f"--latent: {len(axes)} axes were given; {MAX_AXES} at most can be served")
    if 0 not in axes:
        return LatentFormat(tuple(axes))
    if len(axes) != 3 or axes[0] == 0 or tuple(axes[1:]) != (0, 0) or not image.is_free:
        raise SourceError("--latent: 0 stands for height and width together, as in 4 0 0, without --size")
    return LatentFormat((axes[0], None, None))


def _sha256(module: nn.Module) -> str:
    """Return the SHA-256 of a module's weights, in the order of their names."""
    return weights.sha256_of(
        value.detach().contiguous().flatten().view(torch.uint8).numpy().tobytes()
        for _, value in sorted(module.state_dict().items())
        if value.numel()
    )
