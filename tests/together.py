"""Train every recipe for a few updates as one process or as several, and keep what came of it.

    python tests/together.py FOLDER 2    leaves FOLDER/0.pt and FOLDER/1.pt, what either process has
"""

import sys
from pathlib import Path

import torch

from subset import FASHION
from trainers import trainer_of
from training import devices, processes
from training.data import fashion_mnist
from training.recipes import RECIPES
from training.trainer import Trainer

SMALL = {"width": 8, "discriminator_width": 8, "blocks": 1, "hidden": 8, "buffer": 20}
OTHERS = {"bfloat16": ("vae", {"precision": "bfloat16"}), "penalised": ("vae", {"l1_penalty": 1e-3, "l2_penalty": 1e-2})}
UPDATES = 6
EPS = 0.1
"""Of Adam: with 1e-8 it makes a whole step of a gradient that is zero within rounding, up or down by chance."""


def trained(name: str, folder: Path, **settings: object) -> dict[str, object]:
    """Return the losses of all updates and the state after them."""
    fields = RECIPES[name].config_type.model_fields
    small = {key: value for key, value in SMALL.items() if key in fields}
    trainer = trainer_of(name, fashion_mnist(FASHION), folder, updates=UPDATES, **small | settings)
    for optimizer in trainer.recipe.optimizers.values():
        for group in optimizer.param_groups:
            group["eps"] = EPS
    before = _weights(trainer)
    for _ in range(UPDATES):
        trainer._one_update()
    return {"before": before, "after": _weights(trainer), "losses": trainer._means(), "memory": trainer.recipe.memory()}


def _weights(trainer: Trainer) -> dict[str, torch.Tensor]:
    return {
        f"{kind} {name} {key}": value.detach().clone()
        for kind in ("networks", "averaged")
        for name, network in getattr(trainer.recipe, kind).items()
        for key, value in network.state_dict().items()
    }


def main(folder: Path, count: int) -> None:
    """Train all."""
    torch.set_num_threads(1)
    devices.join(devices.Devices("cpu", count, 1), 48)
    rank = processes.rank()
    runs = {name: (name, {}) for name in RECIPES} | OTHERS
    found = {
        key: trained(name, folder / f"{key} {rank}", **settings) for key, (name, settings) in runs.items()
    }
    torch.save(found, folder / f"{rank}.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
