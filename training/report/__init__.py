"""The experiment report: one HTML and one Markdown file made from saved runs and studies alone.

    runs/<name>/ + runs/studies/<name>.json -> sections of tables and plots -> report.md, plots/
    report.md, plots/ -> report.html

What was not run yet is named with the command that runs it.
"""

from __future__ import annotations

import shlex
from pathlib import Path

from rich.console import Console

from training.data.datasets import Dataset
from training.packaging.package import Trained
from training.recipes import RECIPES
from training.report.generators import generators_section
from training.report.latent_maps import latents_section
from training.report.planned_runs import PLANNED_RUNS
from training.report.rendering import Section, of_findings, write
from training.report.run_plots import loss_curves, reconstructions, sample_sheet
from training.report.runs import Group, grouped, images_of, is_complete, read_runs
from training.report.tables import metric_tables, targets, what_was_run
from training.runtime.run_folder import RUNS, Run
from training.studies import STUDIES
from training.studies.findings import STUDY_RUNS, Table, load

TITLE = "Experiment report"


def missing() -> list[list[str]]:
    """Return the arguments of `python -m training` for every run and study that the report still lacks."""
    commands = []
    for member in PLANNED_RUNS:
        for name, arguments in member.fits().items():
            if not is_complete(name):
                started = Run(RUNS / name).progress() is not None
                commands.append([*arguments, "--resume"] if started else arguments)
    return commands + [["study", name] for name in STUDIES if load(name) is None]


def report(folder: Path, console: Console) -> Path:
    """Build the report in `folder` and return its HTML file."""
    runs, refused = read_runs(console)
    groups = grouped(runs)
    sections = [_runs_section(runs, groups, refused)]
    sections += [_family_section(recipe, groups) for recipe in RECIPES if _of_recipe(groups, recipe)]
    sections += _generators(groups)
    sections += _by_data(groups)
    sections += [_study_section(name) for name in _studies()]
    text = (
        "Built from saved runs and studies by `python -m training report`; with `--train` it first trains "
        "and studies whatever is not there yet.",
    )
    return write(Section(TITLE, text, (), tuple(sections)), folder)


def _runs_section(runs: list[Trained], groups: list[Group], refused: list[str]) -> Section:
    there = {run.record.name for run in runs}
    absent = tuple(
        (name, f"`{_command(arguments)}`")
        for member in PLANNED_RUNS
        for name, arguments in member.fits().items()
        if name not in there
    )
    parts = [what_was_run(groups), targets(groups)] if groups else []
    if absent:
        parts.append(Table(title="Not run yet", columns=("system", "command"), rows=absent))
    return Section("Systems", tuple(refused), tuple(parts))


def _family_section(recipe: str, groups: list[Group]) -> Section:
    """Return losses, metrics and samples of all runs of one recipe."""
    kind, own = RECIPES[recipe], _of_recipe(groups, recipe)
    curves = loss_curves(own)
    sheets = [plot for plot in map(sample_sheet, own) if plot]
    return Section(kind.title, (), (*([curves] if curves else []), *metric_tables(own), *sheets))


def _generators(groups: list[Group]) -> list[Section]:
    """Return a section for every data set of which several recipes or settings generate images."""
    by_images: dict[tuple[object, ...], list[Group]] = {}
    for group in groups:
        if isinstance(group.first.data, Dataset) and "generate" in group.first.recipe.operations():
            by_images.setdefault(images_of(group.first.record), []).append(group)
    return [generators_section(same) for same in by_images.values() if len(same) > 1]


def _by_data(groups: list[Group]) -> list[Section]:
    """Return reconstructions, then latents, for every data set of which something was encoded."""
    encoding = [
        group
        for group in groups
        if isinstance(group.first.data, Dataset) and "encode" in group.first.recipe.operations()
    ]
    by_images: dict[tuple[object, ...], list[Group]] = {}
    for group in encoding:
        by_images.setdefault(images_of(group.first.record), []).append(group)
    shared = list(by_images.values())
    decoding = [[group for group in same if "decode" in group.first.recipe.operations()] for same in shared]
    plots = tuple(reconstructions(same) for same in decoding if same)
    shown = [Section("Originals and reconstructions", (), plots)] if plots else []
    labelled = [same for same in shared if len(same[0].first.recipe.shape.classes) > 1]
    return shown + [latents_section(same) for same in labelled]


def _of_recipe(groups: list[Group], recipe: str) -> list[Group]:
    return [group for group in groups if group.first.record.recipe == recipe]


def _studies() -> list[str]:
    """Return the studies in their order, then whatever else was found and saved beside them."""
    others = sorted(path.stem for path in STUDY_RUNS.glob("*.json") if path.stem not in STUDIES)
    return [*STUDIES, *others]


def _study_section(name: str) -> Section:
    findings = load(name)
    if findings is None:
        title = name.replace("_", " ").capitalize()
        return Section(title, (f"Not run yet: `{_command(['study', name])}`",))
    return of_findings(findings)


def _command(arguments: list[str]) -> str:
    return f"python -m training {shlex.join(arguments)}"
