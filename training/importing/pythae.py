"""Model folders of pythae: model_config.json and model.pt. Pickled networks beside them are never read.

That leaves models whose networks are the ones pythae builds by default.
"""

from __future__ import annotations

from pathlib import Path

from torch import Tensor, nn

from training.importing import weights
from training.importing.source import ImageFormat, LatentFormat, Source, SourceError, check_channels, ready
from training.networks.pythae import PerceptronDecoder, PerceptronEncoder

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
    for half in ("encoder", "decoder"):
        if (folder / f"{half}.pkl").exists() or config.get(f"uses_default_{half}") is False:
            raise SourceError(
                f"{folder.name} has a pickled {half}, which could run code and is not read; "
                "import it with `python` from the code that defines it"
            )
    shape, latent_dim = _shape(config.get("input_dim")), config.get("latent_dim")
    if shape is None or not isinstance(latent_dim, int) or latent_dim < 1:
        raise SourceError("model_config.json needs input_dim as [channels, height, width], and latent_dim")
    tensors = weights.read_tensors(folder / "model.pt", "model_state_dict")
    halves = _halves(tensors)
    encoder, decoder = (
        _encoder(halves["encoder"], shape, latent_dim),
        _decoder(halves["decoder"], shape, latent_dim),
    )
    operations: dict[str, nn.Module] = {"encode": encoder, "decode": decoder}
    if encoder.log_var is not None:
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


def _halves(tensors: dict[str, Tensor]) -> dict[str, dict[str, Tensor]]:
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


def _encoder(tensors: dict[str, Tensor], shape: tuple[int, int, int], latent_dim: int) -> PerceptronEncoder:
    network = PerceptronEncoder(
        shape, latent_dim, _hidden(tensors), has_variance=any(name.startswith("log_var") for name in tensors)
    )
    weights.load(network, tensors, "pythae's default encoder")
    ready(network)
    return network


def _decoder(tensors: dict[str, Tensor], shape: tuple[int, int, int], latent_dim: int) -> nn.Module:
    network = PerceptronDecoder(shape, latent_dim, _hidden(tensors))
    weights.load(network, tensors, "pythae's default decoder")
    return ready(network)


def _hidden(tensors: dict[str, Tensor]) -> int:
    """Return the width of the hidden layer.

    Raises:
        SourceError: the first layer is not a perceptron's.
    """
    first = tensors.get("layers.0.0.weight")
    if first is None or first.ndim != 2:
        raise SourceError("its networks are not the perceptrons that pythae builds by default")
    return first.shape[0]
