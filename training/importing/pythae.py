"""Model folders of pythae: model_config.json and model.pt. Pickled networks beside them are never read.

So the networks are rebuilt from the names and shapes of their weights, which are those of pythae's default
perceptrons or of its convolutions for MNIST.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import JsonValue
from torch import Tensor, nn

from training.importing import weights
from training.importing.source import ImageFormat, LatentFormat, Source, SourceError, check_channels, ready
from training.networks.pythae import (
    MNIST,
    ConvolutionalDecoder,
    ConvolutionalEncoder,
    PerceptronDecoder,
    PerceptronEncoder,
)

Tensors = dict[str, Tensor]

UNUSED = ("discriminator",)
"""Networks that were needed for training alone."""


def read(folder: Path) -> Source:
    """Return the encoder and the decoder of a saved model.

    A VAE also generates: what it decodes draws from N(0, I) to is what it was trained for.

    Raises:
        SourceError: it is no such folder, or has other networks than the default ones.
    """
    config = weights.read_config(folder / "model_config.json")
    name = str(config.get("name") or "unknown").removesuffix("Config")
    shape, latent_dim = _shape(config.get("input_dim")), config.get("latent_dim")
    if shape is None or not isinstance(latent_dim, int) or latent_dim < 1:
        raise SourceError("model_config.json needs input_dim as [channels, height, width], and latent_dim")
    tensors = weights.read_tensors(folder / "model.pt", "model_state_dict")
    halves = _halves(tensors)
    try:
        encoder = _encoder(halves["encoder"], shape, latent_dim, _is_default(config, "encoder"))
        decoder = _decoder(halves["decoder"], shape, latent_dim, _is_default(config, "decoder"))
    except SourceError as error:
        raise SourceError(f"{error}{_pickled(folder)}") from None
    operations: dict[str, nn.Module] = {"encode": encoder, "decode": decoder}
    if any(name.startswith("log_var") for name in halves["encoder"]):
        operations["generate"] = decoder
    return Source(
        family=name,
        title=f"{name} of pythae",
        operations=operations,
        image=ImageFormat(check_channels(shape[0], shape[0]), *shape[1:], value_range=(0.0, 1.0)),
        latent=LatentFormat((latent_dim,)),
        weights_sha256=weights.sha256(folder / "model.pt"),
        settings=config,
    )


def _shape(found: object) -> tuple[int, int, int] | None:
    if isinstance(found, list) and len(found) == 3 and all(type(one) is int and one > 0 for one in found):
        return found[0], found[1], found[2]
    return None


def _halves(tensors: Tensors) -> dict[str, Tensors]:
    """Return the weights of encoder and decoder.

    Raises:
        SourceError: there are others, so that more happens than encoding and decoding.
    """
    names = {name.split(".")[0] for name in tensors} - set(UNUSED)
    if names != {"encoder", "decoder"}:
        raise SourceError(
            f"model.pt has weights of {', '.join(sorted(names))}; encoder and decoder alone can be imported"
        )
    return {name: weights.without_prefix(tensors, f"{name}.") for name in names}


def _pickled(folder: Path) -> str:
    """Return the part of a message about networks that are pickled beside the weights."""
    if not any((folder / f"{half}.pkl").exists() for half in ("encoder", "decoder")):
        return ""
    return (
        "; its own ones are pickled beside them, which could run code and are not read: "
        "use `import python` with the code that defines them"
    )


def _is_default(config: Mapping[str, JsonValue], half: str) -> bool:
    """Say whether pythae built a network itself; early versions did not note it."""
    return config.get(f"uses_default_{half}") is not False


def _encoder(tensors: Tensors, shape: tuple[int, int, int], latent_dim: int, is_default: bool) -> nn.Module:
    has_variance = any(name.startswith("log_var") for name in tensors)
    if _is_convolutional(tensors, "layers.0.0.weight") and shape == MNIST:
        network: nn.Module = ConvolutionalEncoder(latent_dim, has_variance)
        weights.load(network, tensors, "pythae's convolutional encoder for MNIST")
    else:
        network = PerceptronEncoder(shape, latent_dim, _hidden(tensors, is_default), has_variance)
        weights.load(network, tensors, "pythae's default encoder")
    return ready(network)


def _decoder(tensors: Tensors, shape: tuple[int, int, int], latent_dim: int, is_default: bool) -> nn.Module:
    if _is_convolutional(tensors, "layers.1.0.weight") and shape == MNIST:
        network: nn.Module = ConvolutionalDecoder(latent_dim)
        weights.load(network, tensors, "pythae's convolutional decoder for MNIST")
    else:
        network = PerceptronDecoder(shape, latent_dim, _hidden(tensors, is_default))
        weights.load(network, tensors, "pythae's default decoder")
    return ready(network)


def _is_convolutional(tensors: Tensors, name: str) -> bool:
    return name in tensors and tensors[name].ndim == 4


def _hidden(tensors: Tensors, is_default: bool) -> int:
    """Return the width of the hidden layer.

    Raises:
        SourceError: the first layer is not a perceptron's, or the perceptron is somebody's own.
    """
    first = tensors.get("layers.0.0.weight")
    if first is None or first.ndim != 2 or not is_default:
        raise SourceError(
            "its networks are neither the perceptrons that pythae builds by default "
            "nor its convolutions for MNIST"
        )
    return first.shape[0]
