"""The commands of `python -m training`, and how their failures read."""

from __future__ import annotations

import argparse
import json
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from rich.console import Console

from training.cli.parser import parser, read_config, record_of
from training.config import Config
from training.data.datasets import DataError, Dataset
from training.data.domain_pairs import DomainPair, dataset_of
from training.evaluation.sample_sheets import sheet
from training.importing.command import import_source
from training.packaging.onnx_export import ExportError
from training.packaging.package import (
    CheckpointError,
    Trained,
    add_reference,
    encoding_manifest,
    export_to_hub,
    import_from_hub,
    package,
)
from training.recipes import RECIPES
from training.recipes.base import Recipe
from training.runs.restore import Saved, cached_metrics, data_of, load_recipe, measure, opened
from training.runs.setup import batches_of, build, check_data, check_same, load_data, sketch
from training.runs.trainer import Interrupted, Trainer
from training.runtime import devices, distributed
from training.runtime.progress import Progress
from training.runtime.run_folder import RUNS, Run, RunError, RunRecord, State, check_folder, check_writable
from training.studies import study
from training.studies.findings import STUDY_RUNS, markdown, save
from training.tuning.search import Search

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells use it."""


def main(arguments: Sequence[str], program: str = "python -m training") -> int:
    """Run one command and return the process's exit code: 0, 1 for a failure, 2 for a wrong call.

    `program` is what `--help` calls this command.
    """
    options = parser(program).parse_args(arguments, argparse.Namespace(arguments=arguments))
    command = COMMANDS[options.command]
    console = Console(stderr=True, soft_wrap=True)
    torch.set_num_threads(options.threads)
    try:
        if command is not fit:
            devices.check_alone(options.command)
        return command(options, console)
    except (RunError, distributed.Abandoned) as error:
        if not distributed.is_first():
            return 1  # the first process reports it for all
        failure = str(error)
    except (DataError, ExportError, CheckpointError, ValueError) as error:
        failure = str(error)
    except OSError as error:
        failure = f"{error.filename or 'disk'}: {error.strerror}"
    except KeyboardInterrupt:
        return INTERRUPTED
    console.print(f"training: {failure}", style="bold", highlight=False, markup=False)
    return 1


def fit(options: argparse.Namespace, console: Console) -> int:
    """Train a recipe from the start or from its last save, then judge and package it."""
    config, draft = _asked(options)
    place = devices.join(options.device, config.batch_size)
    shown = console if distributed.is_first() else Console(quiet=True)
    log = _log(shown)
    run = Run(RUNS / draft.name)
    state = distributed.broadcast_from_first(lambda: _state(run, draft, options.resume))
    with distributed.in_turn(place.local_rank):
        data = load_data(draft, config, log)
    record = draft.model_copy(update={"data_sha256": dataset_of(data).sha256})
    if distributed.broadcast_from_first(lambda: record) != record:
        raise DataError("the data here, or its precision, is not that of the first process")
    recipe = build(record.recipe, config, data, place.device)

    def save_sheet(name: str) -> None:
        if distributed.is_first():
            sheet(recipe, data).save(run.sheets / f"{name}.png")

    with Progress(shown, config.batch_size) as progress:
        trainer = Trainer(recipe, config, batches_of(data, config, recipe), run, save_sheet, progress)
        if distributed.is_first() and options.resume:
            check_data(run.record(), record)
        elif distributed.is_first():
            run.start(record)
        if state is not None:
            trainer.take_up(state)
        del state  # as large as all that is trained
        log(f"{record.name}: {_described(data)}; updates {trainer.update} to {trainer.total} on {place}")
        try:
            trainer.train()
        except Interrupted:
            log(
                f"stopped after update {trainer.update} of {trainer.total}, saved in {run.folder}; "
                "the same command with --resume goes on"
            )
            return INTERRUPTED if distributed.is_first() else 0
    if not distributed.leave():
        return 0
    recipe.finish(dataset_of(data))
    trainer.save()
    # What is judged is what was saved, on the CPU, as `evaluate` and `package` find it: what this process
    # holds may be on a GPU, and a state that cannot be read back should fail now.
    saved = opened(run.folder)
    if options.no_package:
        measure(run.folder, load_recipe(saved, data), data, console)
        return 0
    return _package(saved, data, options, console)


def tune_recipe(options: argparse.Namespace, console: Console) -> int:
    """Search a recipe's settings and print the command that trains with the best."""
    config = read_config(RECIPES[options.recipe].config_type, options)
    device = devices.join(options.device, config.batch_size).device
    log = _log(console)
    search = Search(record_of(options, config), config, device, console, log)
    try:
        search.run(options.trials)
    except (Interrupted, KeyboardInterrupt):
        log(f"stopped; {search.folder} keeps the finished trials and the same command goes on")
        return INTERRUPTED
    print(search.command())  # noqa: T201 - this is the command's output
    return 0


def package_run(options: argparse.Namespace, console: Console) -> int:
    """Package the last save of a run; or take a checkpoint to the layout of the hub, or back."""
    if options.hub or options.from_hub:
        return _exchange(options, console)
    saved = opened(_folder(options.run))
    if saved.progress is None:
        raise RunError(f"{saved.folder} is a checkpoint: package takes a run, or a checkpoint with --hub")
    _check_claims(options.default_for, sketch(saved.record, saved.config))
    check_writable(options.checkpoints)
    return _package(saved, data_of(saved, _log(console)), options, console)


def _exchange(options: argparse.Namespace, console: Console) -> int:
    """Take a checkpoint to the layout of the Hugging Face hub, or back."""
    if options.default_for:
        raise ValueError("--default-for is for runs: a checkpoint goes to the hub and back unchanged")
    if options.hub:
        export_to_hub(Path(options.run), options.hub)
        console.print(f"wrote {options.hub}, in the layout of the Hugging Face hub", highlight=False)
        return 0
    target = import_from_hub(Path(options.run), options.checkpoints)
    console.print(f"wrote {target}; `make serve` or `latent-service` serves it", highlight=False)
    return 0


def evaluate_folder(options: argparse.Namespace, console: Console) -> int:
    """Print the metrics of a checkpoint or a run as JSON."""
    saved = opened(_folder(options.run))
    if saved.progress is not None:
        check_writable(saved.folder)
    data = data_of(saved, _log(console))
    metrics = measure(saved.folder, load_recipe(saved, data), data, console)
    print(json.dumps(metrics, indent=2))  # noqa: T201 - this is the command's output
    return 0


def reference_checkpoint(options: argparse.Namespace, console: Console) -> int:
    """Write a checkpoint once more, with reference.npz."""
    saved = opened(_folder(str(options.checkpoint)))
    if RECIPES[saved.record.recipe].translates:
        raise ValueError(f"{saved.folder} translates and has no latent space")
    encoding_manifest(saved.folder)
    check_writable(saved.folder.parent)
    data = data_of(saved, _log(console))
    target = add_reference(saved.folder, load_recipe(saved, data), dataset_of(data))
    console.print(f"packaged {target}; `make serve` or `latent-service` serves it", highlight=False)
    return 0


def import_checkpoint(options: argparse.Namespace, console: Console) -> int:
    """Make a checkpoint of what was trained elsewhere."""
    check_writable(options.checkpoints)
    target = import_source(options, _log(console))
    console.print(f"packaged {target}; `make serve` or `latent-service` serves it", highlight=False)
    return 0


def run_study(options: argparse.Namespace, console: Console) -> int:  # noqa: ARG001 - all print to stderr
    """Run one study, keep what it finds for the report, and print its tables."""
    check_writable(STUDY_RUNS)
    findings = study(options.study)()
    save(findings, options.study)
    for line in markdown(findings):
        print(line)  # noqa: T201 - this is the command's output
    return 0


def write_report(options: argparse.Namespace, console: Console) -> int:
    """Build the report, with --train after whatever it lacks was trained and studied.

    One failure does not keep the rest from being done; the report lists what is still missing.
    """
    from training.report import missing, report

    check_writable(options.out)
    code = 0
    for arguments in missing() if options.train else []:
        console.print(f"python -m training {shlex.join(arguments)}", highlight=False, markup=False)
        failed = main([*arguments, "--threads", str(options.threads)])
        if failed == INTERRUPTED:
            return INTERRUPTED
        code = max(code, failed)
    print(report(options.out, console))  # noqa: T201 - this is the command's output
    return code


def _asked(options: argparse.Namespace) -> tuple[Config, RunRecord]:
    """Return the config and the record of a run, which knows no data yet; refuse what it could not do."""
    config = read_config(RECIPES[options.recipe].config_type, options)
    draft = record_of(options, config)
    _check_claims(options.default_for, sketch(draft, config))
    if not options.no_package:
        check_folder(options.checkpoints)
    return config, draft


def _state(run: Run, draft: RunRecord, resume: bool) -> State | None:
    """Return what to go on from, None at the start of a run; refuse what the run's folder does not allow."""
    if not resume:
        run.check_free()
        return None
    check_same(run.record(), draft)
    return run.load(torch.device("cpu"))


def _package(saved: Saved, data: Dataset | DomainPair, options: argparse.Namespace, console: Console) -> int:
    """Package what a run folder holds, with the metrics kept of it or else measured now."""
    assert saved.progress is not None
    recipe = load_recipe(saved, data)
    metrics = cached_metrics(saved.folder, recipe, data, console)
    trained = Trained(saved.record, recipe, data, metrics, saved.progress)
    target = package(trained, options.checkpoints, options.default_for)
    console.print(f"packaged {target}; `make serve` or `latent-service` serves it", highlight=False)
    return 0


def _check_claims(default_for: Sequence[str], recipe: Recipe) -> None:
    """Refuse, before anything takes long, what the checkpoint could not claim."""
    offered = {key.split(".")[0] for key in recipe.operations()}
    for operation in default_for:
        if operation not in offered:
            raise ValueError(f"--default-for {operation}: this recipe offers {', '.join(sorted(offered))}")


def _folder(name: str) -> Path:
    """Return the folder of a run given by name or path, or of a checkpoint given by path."""
    for folder in (Path(name), RUNS / name):
        if (folder / "run.json").is_file():
            return folder
    raise RunError(
        f"{name!r} is neither a run in {RUNS} nor a checkpoint folder such as checkpoints/edges-photos/4"
    )


def _described(data: Dataset | DomainPair) -> str:
    dataset = dataset_of(data)
    kind = f"{dataset.size} x {dataset.size} {'grey' if dataset.channels == 1 else 'colour'}"
    if isinstance(data, DomainPair):
        return (
            " and ".join(f"{len(part):,} {name}" for part, name in zip(data.train, data.domains, strict=True))
            + f", {kind}"
        )
    images = f"{len(dataset.train):,} training and {len(dataset.test):,} test images"
    return f"{images}, {kind}, {len(dataset.classes)} classes"


def _log(console: Console) -> Callable[[str], None]:
    return lambda line: console.print(line, highlight=False, markup=False)


COMMANDS: dict[str, Callable[[argparse.Namespace, Console], int]] = {
    "fit": fit,
    "tune": tune_recipe,
    "evaluate": evaluate_folder,
    "package": package_run,
    "import": import_checkpoint,
    "reference": reference_checkpoint,
    "study": run_study,
    "report": write_report,
}
