"""Claims of the course put to numbers, one file per study; each has `run() -> Findings`."""

from collections.abc import Callable
from importlib import import_module

from training.studies.findings import Findings

STUDIES = (
    "regression",
    "regularisation",
    "hyperparameters",
    "linear_autoencoder",
    "manifold",
    "score",
    "averages",
    "denoising",
    "divergences",
    "folders",
)


def study(name: str) -> Callable[[], Findings]:
    """Return the function that runs the study `name`; its libraries are imported only now."""
    run: Callable[[], Findings] = import_module(f"training.studies.{name}").run
    return run
