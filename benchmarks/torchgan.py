"""Trains torchgan's DCGAN on Fashion-MNIST for a given number of processor seconds.

    python -m benchmarks.torchgan --seconds 900

Networks, optimisers, batches and images of 32 pixels are those of its introductory tutorial, which learns
MNIST; the losses are its least squares. Run by an interpreter that has torchgan (see README.md).
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import tempfile
from pathlib import Path

import torch
from torch import nn
from torchgan.losses import LeastSquaresDiscriminatorLoss, LeastSquaresGeneratorLoss
from torchgan.models import DCGANDiscriminator, DCGANGenerator
from torchgan.trainer import Trainer
from torchvision import transforms

from benchmarks.budget import Budget, Spent
from benchmarks.generated import write
from benchmarks.stand_in import BudgetLoader, StandIn
from training.data.datasets import fashion_mnist

LATENT_DIM, BATCH = 100, 64
SLOPE = 0.2
RATES = {"generator": 1e-4, "discriminator": 3e-4}
PREPARED = transforms.Compose(
    [transforms.Resize((32, 32)), transforms.ToTensor(), transforms.Normalize((0.5,), (0.5,))]
)


def main() -> None:
    """Train and write what the generator draws."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.torchgan", description="Train a peer.")
    parser.add_argument("--seconds", type=float, required=True, help="of processor time of one thread")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    dataset = fashion_mnist()
    loader = BudgetLoader(StandIn(dataset, PREPARED), batch_size=BATCH, shuffle=True)
    here = Path.cwd()
    with (
        tempfile.TemporaryDirectory() as folder,
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.suppress(Spent),
    ):
        os.chdir(folder)
        try:
            trainer = made()
            loader.budget = budget = Budget(options.seconds)
            trainer(loader)
        finally:
            os.chdir(here)
    asked = {"batch_size": BATCH, "latent_dim": LATENT_DIM, "learning_rates": RATES}
    write("torchgan", trainer.generator, LATENT_DIM, budget, dataset, asked)


def made() -> Trainer:
    """Return torchgan's trainer with the networks and optimisers of its tutorial."""
    common = {"step_channels": 32, "nonlinearity": nn.LeakyReLU(SLOPE)}
    own = {
        "generator": {"encoding_dims": LATENT_DIM, "out_channels": 1, "last_nonlinearity": nn.Tanh()},
        "discriminator": {"in_channels": 1, "last_nonlinearity": nn.LeakyReLU(SLOPE)},
    }
    kinds = {"generator": DCGANGenerator, "discriminator": DCGANDiscriminator}
    networks = {
        name: {
            "name": kind,
            "args": common | own[name],
            "optimizer": {"name": torch.optim.Adam, "args": {"lr": RATES[name], "betas": (0.5, 0.999)}},
        }
        for name, kind in kinds.items()
    }
    losses = [LeastSquaresGeneratorLoss(), LeastSquaresDiscriminatorLoss()]
    trainer = Trainer(networks, losses, device=torch.device("cpu"), epochs=1000)
    trainer.logger.logger_end_epoch.clear()  # its sample sheets need an argument that torchvision has dropped
    return trainer


if __name__ == "__main__":
    main()
