"""pythae's VAE (Chadebec et al. 2022) trained by its own trainer; runs where pythae is installed."""

from __future__ import annotations

import contextlib
import tempfile
from importlib.metadata import version

import numpy as np
import torch
from pythae.data.datasets import BaseDataset, DatasetOutput
from pythae.models import VAE, VAEConfig
from pythae.models.base.base_utils import ModelOutput
from pythae.models.nn import BaseDecoder, BaseEncoder
from pythae.models.nn.benchmarks.mnist import Decoder_Conv_AE_MNIST, Encoder_Conv_VAE_MNIST
from pythae.samplers import GaussianMixtureSampler, GaussianMixtureSamplerConfig, NormalSampler
from pythae.trainers import BaseTrainer, BaseTrainerConfig
from pythae.trainers.training_callbacks import TrainingCallback
from torch import Tensor, nn

from benchmarks.budget import BATCH, CHUNK, Budget, Settings, Spent, Trained
from benchmarks.networks import Ours
from training.data.datasets import Dataset


class TheirEncoder(BaseEncoder):
    """Our encoder, as pythae wants it."""

    def __init__(self, network: Ours) -> None:
        BaseEncoder.__init__(self)
        self.network = network.encoder

    def forward(self, x: Tensor) -> ModelOutput:
        """Return mean and log variance of q(z|x)."""
        mu, logvar = self.network(x).chunk(2, dim=1)
        return ModelOutput(embedding=mu, log_covariance=logvar)


class TheirDecoder(BaseDecoder):
    """Our decoder, as pythae wants it."""

    def __init__(self, network: Ours) -> None:
        BaseDecoder.__init__(self)
        self.network = network.decoder

    def forward(self, z: Tensor) -> ModelOutput:
        """Return images in [0, 1]."""
        return ModelOutput(reconstruction=self.network(z))


def images(settings: Settings, dataset: Dataset) -> Trained:
    """Train pythae's VAE on grey images."""
    config = VAEConfig(
        input_dim=(1, 28, 28), latent_dim=settings.latent_dim, reconstruction_loss=settings.loss
    )
    if settings.network == "benchmark":
        model = VAE(config, encoder=Encoder_Conv_VAE_MNIST(config), decoder=Decoder_Conv_AE_MNIST(config))
    elif settings.network == "ours":
        network = Ours(settings.latent_dim, settings.width)
        model = VAE(config, encoder=TheirEncoder(network), decoder=TheirDecoder(network))
    else:
        model = VAE(config)
    budget, used_s = _train_with_pythae(model, settings, dataset, binarised=False)

    def from_normal(count: int, seed: int) -> Tensor:
        torch.manual_seed(seed)
        return NormalSampler(model).sample(num_samples=count, batch_size=CHUNK)

    mixture = GaussianMixtureSampler(model, GaussianMixtureSamplerConfig(n_components=10))
    mixture.fit(dataset.train.unit())

    def from_mixture(count: int, seed: int) -> Tensor:
        # scikit-learn's mixture draws alike in every call unless it has a generator of its own.
        mixture.gmm.random_state = np.random.RandomState(seed)
        return mixture.sample(num_samples=count, batch_size=CHUNK)

    return Trained(
        model,
        lambda images: model.encoder(images).embedding,
        lambda latents: model.decoder(latents).reconstruction,
        {"N(0, I)": from_normal, "mixture of 10": from_mixture},
        f"pythae {version('pythae')}: VAE, network: {settings.network}, {settings.loss}, Adam "
        f"{settings.learning_rate:g}, batch {BATCH}",
        budget,
        used_s,
    )


def likelihood(settings: Settings, dataset: Dataset) -> Trained:
    """Train pythae's VAE with our likelihood VAE's network on images binarised anew every time."""
    network = Ours(settings.latent_dim, settings.width)

    config = VAEConfig(input_dim=(1, 28, 28), latent_dim=settings.latent_dim, reconstruction_loss="bce")
    model = VAE(config, encoder=TheirEncoder(network), decoder=TheirDecoder(network))
    budget, used_s = _train_with_pythae(model, settings, dataset, binarised=True)
    description = (
        f"pythae {version('pythae')}: VAE, our network, Adam {settings.learning_rate:g}, batch {BATCH}"
    )
    return Trained(network, lambda x: network.encode(x)[0], network.decode, {}, description, budget, used_s)


def _train_with_pythae(
    model: nn.Module, settings: Settings, dataset: Dataset, binarised: bool
) -> tuple[Budget, float]:
    class Binarised(BaseDataset):
        def __getitem__(self, index: int) -> DatasetOutput:
            grey = self.data[index]
            return DatasetOutput(data=(torch.rand_like(grey) < grey).float(), labels=self.labels[index])

    class Stop(TrainingCallback):
        def __init__(self) -> None:
            self.budget = Budget(settings.seconds)

        def on_train_begin(self, *_: object, **__: object) -> None:
            self.budget = Budget(settings.seconds)

        def on_train_step_end(self, *_: object, **__: object) -> None:
            self.budget.spend()

    kind = Binarised if binarised else BaseDataset
    dataset_of_theirs = kind(dataset.train.unit(), dataset.train.labels)
    stop = Stop()
    with tempfile.TemporaryDirectory() as folder:
        config = BaseTrainerConfig(
            output_dir=folder,
            num_epochs=100_000,
            per_device_train_batch_size=BATCH,
            learning_rate=settings.learning_rate,
            seed=settings.seed,
            no_cuda=True,
        )
        with contextlib.suppress(Spent):
            BaseTrainer(model, dataset_of_theirs, training_config=config, callbacks=[stop]).train()
    model.eval().requires_grad_(False)
    return stop.budget, stop.budget.used_s
