"""The search for a recipe's settings on training images held back; the test images are never used.

    runs/tune/<name>/journal.log   Optuna's record of every finished trial: the same command goes on from it
                     trials/<n>/   the run of one trial, as `fit` leaves it
                     tune.json     all trials and the best, with the command that trains with it
                     tune.png      every setting against the objective

Trial 0 has the recipe's own settings. The rest are proposed by a tree-structured Parzen estimator (Bergstra
et al. 2011), each from a seed of its own, so that a search that was stopped goes on as if it had not been.
All trials see equally many images: half the batch, twice the updates.
"""

from __future__ import annotations

import json
import math
import shlex
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace as replaced
from itertools import accumulate

import optuna
import torch
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.samplers import TPESampler
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState
from pydantic import JsonValue
from rich.console import Console

from training import plots
from training.config import Config, LogUniform, OneOf
from training.data.datasets import DataError, Dataset
from training.data.domain_pairs import DomainPair, dataset_of
from training.runs.setup import batches_of, build, load_data, sketch
from training.runs.trainer import Trainer
from training.runtime.progress import Progress
from training.runtime.randomness import generator
from training.runtime.run_folder import RUNS, Run, RunError, RunRecord, check_writable, replace
from training.tuning.objective import judged

Settings = dict[str, float]
JOURNAL = "journal.log"
LENGTHS = {"updates", "epochs", "holdout"}
"""Settings of a trial that the run with the best settings does not share."""


class Search:
    """One search: what was asked, and the trials made so far."""

    def __init__(
        self,
        draft: RunRecord,
        config: Config,
        device: torch.device,
        console: Console,
        log: Callable[[str], None],
    ) -> None:
        """Prepare a search for the settings that `config` was not given.

        Args:
            draft: recipe, data and name.
            config: the recipe's own settings and the given ones, which are not searched.
            device: where to train.
            console: shows the progress of trials.
            log: takes lines about the search.

        Raises:
            DataError, ValueError: the data cannot be loaded or split, or the recipe cannot be made.
            RunError: a folder of this name searches something else, or cannot be written.
        """
        if not config.holdout:
            raise DataError("--holdout 0: a search judges on training images held back, so it needs some")
        sketch(draft, config)
        self.folder = RUNS / "tune" / draft.name
        check_writable(self.folder)
        self.config, self.space = config, space_of(config)
        self._device, self._console, self._log = device, console, log
        self.record = draft
        if (self.folder / JOURNAL).is_file():
            self._check_same(self._opened())
        self.data = _apart(load_data(draft, config, log), config.holdout)
        self.record = draft.model_copy(update={"data_sha256": dataset_of(self.data).sha256})
        self._study = self._opened()
        self._check_same(self._study)
        self._study.set_user_attr("asked", self._asked())

    @property
    def trials(self) -> list[FrozenTrial]:
        """Return the finished trials; `value` is None where a loss stopped being a number."""
        return self._study.get_trials(deepcopy=False)

    def run(self, count: int) -> None:
        """Make trials until there are `count`, and write what was found after each.

        Raises:
            Interrupted: after a signal; the same trial goes on next time.
            RunError: no trial ended well.
        """
        while len(self.trials) < count:
            number, settings = len(self.trials), self._proposal()
            self._log(f"trial {number}, to {count - 1}: {_options(settings)}")
            value, noted = self._tried(number, settings)
            self._study.add_trial(
                optuna.trial.create_trial(
                    params=settings,
                    distributions=self.space,
                    state=TrialState.PRUNED if value is None else TrialState.COMPLETE,
                    value=value,
                    user_attrs=noted,
                )
            )
            self._log(f"trial {number}: " + ("diverged" if value is None else f"objective {value:.5g}"))
            self._write()
        if all(trial.value is None for trial in self.trials):
            raise RunError(f"a loss stopped being a number in every trial; see {self.folder}")

    def command(self) -> str:
        """Return the command that trains with the best settings found."""
        best: Settings = self._study.best_trial.params
        given = self.config.model_dump(mode="json", include=self.config.model_fields_set - LENGTHS)
        data = self.record.model_dump(include={"data", "path", "size", "channels", "pair"}, exclude_none=True)
        updates = self._equal_images(type(self.config)().updates, best)
        length = {} if updates == type(self.config)().updates else {"updates": updates}
        return f"python -m training fit {self.record.recipe} {_options(data | given | best | length)}"

    def _opened(self) -> optuna.Study:
        """Return Optuna's study on disk, a new one if there is none."""
        self.folder.mkdir(parents=True, exist_ok=True)
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        storage = JournalStorage(JournalFileBackend(str(self.folder / JOURNAL)))
        return optuna.create_study(storage=storage, study_name=self.record.name, load_if_exists=True)

    def _asked(self) -> dict[str, JsonValue]:
        return self.record.model_dump(mode="json") | {"searched": sorted(self.space)}

    def _check_same(self, study: optuna.Study) -> None:
        """Refuse a study that was asked something else, as far as that is known: data has no hash unread."""
        asked = self._asked()
        before = study.user_attrs.get("asked", asked)
        changed = {name for name in asked if before.get(name) != asked[name]}
        if not self.record.data_sha256:
            changed -= {"data_sha256"}
        if changed:
            raise RunError(
                f"{self.folder} holds a search with another {', '.join(sorted(changed))}: "
                "give this one a --name of its own, or remove the folder"
            )

    def _proposal(self) -> Settings:
        """Return the settings of the next trial, which depend on the finished ones and the seed alone."""
        number = len(self.trials)
        if not number:
            return {name: getattr(self.config, name) for name in self.space}
        seed = int(torch.randint(2**31, (), generator=generator(self.config.seed, "tune", number)))
        # The study on disk is not asked: it would write down a trial before it is made, which stays there,
        # running, if this process is killed, and the settings as they were before rounding. A study in
        # memory takes milliseconds, and with a sampler for each trial no proposal depends on earlier stops.
        memory = optuna.create_study(sampler=TPESampler(seed=seed))
        memory.add_trials(self.trials)
        return {
            name: float(f"{value:.3g}") if isinstance(value, float) else value
            for name, value in memory.ask(self.space).params.items()
        }

    def _tried(self, number: int, settings: Settings) -> tuple[float | None, dict[str, JsonValue]]:
        """Train with these settings; return the objective, None where a loss was no number, and details."""
        updates = self._equal_images(self.config.updates, settings)
        given = self.config.model_dump(include=self.config.model_fields_set)
        config = type(self.config).model_validate(given | settings | {"updates": updates})
        run = Run(self.folder / "trials" / str(number))
        record = self.record.model_copy(update={"config": config.model_dump(mode="json")})
        recipe = build(record.recipe, config, self.data, self._device)
        with Progress(self._console, config.batch_size) as progress:
            batches = batches_of(self.data, config, recipe)
            trainer = Trainer(recipe, config, batches, run, lambda _: None, progress)
            if (run.folder / "run.json").is_file() and run.record() == record:
                trainer.resume()
            else:
                shutil.rmtree(run.folder, ignore_errors=True)
                run.start(record)
            try:
                trainer.train()
            except RunError as error:
                self._log(str(error))
                return None, {}
        recipe.finish(dataset_of(self.data))
        objective, metrics = judged(recipe, self.data, self._console)
        value = sum(weight * metrics[name] for name, weight in objective.weights.items())
        if not math.isfinite(value):
            return None, {}
        return value, {"objective": objective.meaning, "metrics": {**metrics}, "seconds": trainer.seconds}

    def _equal_images(self, updates: int, settings: Settings) -> int:
        """Return how many updates see as many images as `updates` at the batch size of the search."""
        reference = self.config.batch_size
        return max(1, round(updates * reference / settings.get("batch_size", reference)))

    def _write(self) -> None:
        """Write what was found so far."""
        ended = [trial for trial in self.trials if trial.value is not None]
        rows = [
            {"number": trial.number, "settings": trial.params, "value": trial.value} | trial.user_attrs
            for trial in self.trials
        ]
        found = {
            "asked": self._study.user_attrs["asked"],
            "best": self._study.best_trial.number if ended else None,
            "command": self.command() if ended else None,
            "trials": rows,
        }
        replace(self.folder / "tune.json", json.dumps(found, indent=1).encode())
        if ended:
            replace(self.folder / "tune.png", _drawn(self.record.name, self.trials, self.space))


def space_of(config: Config) -> dict[str, BaseDistribution]:
    """Return what may be searched: the fields with a range that `config` was not given."""
    space: dict[str, BaseDistribution] = {}
    for name, field in type(config).model_fields.items():
        for marker in () if name in config.model_fields_set else field.metadata:
            if isinstance(marker, LogUniform):
                space[name] = FloatDistribution(marker.low, marker.high, log=True)
            elif isinstance(marker, OneOf):
                space[name] = CategoricalDistribution(marker.values)
    return space


def _apart(data: Dataset | DomainPair, holdout: int) -> Dataset | DomainPair:
    """Return the data under a name of its own: its judge must not be one that saw the images held back.

    Raises:
        DataError: the images held back lack a class, or what is left does.
    """
    dataset = dataset_of(data)
    for images in (dataset.train, dataset.test):
        missing = set(range(len(dataset.classes))) - set(images.labels.tolist())
        if missing:
            raise DataError(
                f"--holdout {holdout} of {len(dataset.train) + len(dataset.test)} training images leaves one "
                f"side without {dataset.classes[min(missing)]!r}"
            )
    dataset = replaced(dataset, name=f"{dataset.name}-less-{holdout}")
    return replaced(data, dataset=dataset) if isinstance(data, DomainPair) else dataset


def _options(settings: Mapping[str, JsonValue]) -> str:
    """Return settings as a command line has them."""
    return shlex.join(
        part for name, value in settings.items() for part in (f"--{name.replace('_', '-')}", str(value))
    )


def _drawn(title: str, trials: Sequence[FrozenTrial], space: Mapping[str, BaseDistribution]) -> bytes:
    """Return the plot: the objective by trial, and against each setting.

    Optuna's own plots are experimental, restyle every later plot of the process, let the ticks of logarithmic
    axes run into each other, and show neither which trials diverged nor which was the best.
    """
    figure, (first, *others) = plots.panels(1 + len(space), columns=2)
    ended = [(trial.number, trial.value, trial.params) for trial in trials if trial.value is not None]
    numbers, values, settings = zip(*ended, strict=True)
    best = min(range(len(values)), key=lambda index: values[index])
    first.plot(numbers, values, ".", label="a trial")
    first.step(numbers, list(accumulate(values, min)), where="post", color="C1", label="best so far")
    diverged = [trial.number for trial in trials if trial.value is None]
    if diverged:
        first.plot(diverged, [max(values)] * len(diverged), "kx", label="diverged")
    first.set(xlabel="trial (0: the recipe's own settings)", ylabel="objective, less is better")
    first.legend()
    for axes, (name, distribution) in zip(others, space.items(), strict=True):
        places = [row[name] for row in settings]
        if isinstance(distribution, CategoricalDistribution):
            choices = distribution.choices
            places = [choices.index(place) for place in places]
            axes.set_xticks(range(len(choices)), [f"{choice:g}" for choice in choices])
            axes.set_xlim(-0.5, len(choices) - 0.5)
        elif isinstance(distribution, FloatDistribution):
            axes.set(xscale="log", xlim=(0.9 * distribution.low, 1.1 * distribution.high))
        axes.scatter(places, values, c=numbers, cmap="viridis", s=18)
        axes.plot(places[best], values[best], "*", color="C1", markersize=13, label="best")
        axes.set(xlabel=name.replace("_", " "), ylabel="objective")
        axes.legend()
    figure.suptitle(f"{title}: the objective by trial and against each setting (dark: early, light: late)")
    return plots.png(figure)
