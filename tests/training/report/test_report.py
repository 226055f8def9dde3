"""The report of a few tiny runs: everything is in it, or named with the command that makes it."""

import base64
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from pydantic import JsonValue
from rich.console import Console

from support.fashion_subset import FASHION
from training.cli.commands import main
from training.cli.parser import parser
from training.data.datasets import Dataset, fashion_mnist
from training.evaluation import latent_map
from training.packaging.package import Trained
from training.plots import panels, png
from training.recipes import RECIPES
from training.report import missing, report
from training.report.planned_runs import PLANNED_RUNS, PlannedRun, Target
from training.report.rendering import Section, markdown, page_html, place, write
from training.report.runs import Group, grouped, read_runs, settings
from training.report.tables import measured, metric_tables, spread, targets, what_was_run
from training.runs.restore import data_of, load_recipe, opened
from training.runtime.devices import fastest
from training.studies import STUDIES
from training.studies.findings import Findings, Plot, Table, rows, save

pytestmark = pytest.mark.slow

SMALL = ["--updates", "2", "--batch-size", "16", "--path", str(FASHION), "--no-package"]
RUNS = {
    "fashion-vae": ["vae", "--width", "8"],
    "fashion-vae-seed-1": ["vae", "--width", "8", "--seed", "1"],
    "plane": ["autoencoder", "--width", "8", "--latent-dim", "2"],
    "pair-of-nets": ["gan", "--width", "8", "--latent-dim", "8", "--noise", "laplace"],
}
PNG = png(panels(1)[0])
STUDIED = Findings(
    title="Regression | lines",
    question="Is `a|b` < 2*c_d*e?",
    parts=(
        Table(title="A table", note="Its note.", columns=("x|y", "n"), rows=(("1 < 2 | 3", 0.123456),)),
        Plot(title="A plot", png=PNG),
    ),
)
QUIET = Console(quiet=True)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose runs/ holds three tiny runs and one study, with a report of them."""
    folder = tmp_path_factory.mktemp("report")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(latent_map, "EMBEDDED", 60)
        for name, options in RUNS.items():
            assert main(["fit", *options, *SMALL, "--name", name]) == 0
        save(STUDIED, "regression")
        report(folder / "out", QUIET)
    return folder


@pytest.fixture
def place_of_runs(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it as the current folder, to be changed at will."""
    shutil.copytree(trained, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    return tmp_path / "copy"


@pytest.fixture(scope="module")
def page(trained: Path) -> str:
    return (trained / "out" / "report.html").read_text()


@pytest.fixture(scope="module")
def text(trained: Path) -> str:
    return (trained / "out" / "report.md").read_text()


class Links(HTMLParser):
    """Collects what a page refers to, and what can be referred to in it."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.references: list[str] = []
        self.anchors: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        found = dict(attributes)
        self.references += [str(found[name]) for name in ("href", "src") if name in found]
        self.anchors += [str(found["id"])] if "id" in found else []


def headings(text: str) -> list[str]:
    return re.findall(r"^#+ (.*)$", text, re.MULTILINE)


def anchors(text: str) -> list[str]:
    """Anchors as GitHub makes them from headings."""
    found: list[str] = []
    for title in headings(text):
        plain = re.sub(r"[^\w\- ]|[²³¹½]", "", title.replace("\\", "").lower()).replace(" ", "-")
        found.append(plain if plain not in found else f"{plain}-{found.count(plain)}")
    return found


def test_every_run_and_every_recipe_is_in_both_files(page: str, text: str):
    for shown in ("Variational autoencoder", "Undercomplete autoencoder", "fashion-vae", "plane", "2 seeds"):
        assert shown in page
        assert shown in text


def test_generators_stand_side_by_side(text: str, trained: Path):
    (section,) = re.findall(r"^## Generators side by side$(.*?)^## ", text, re.MULTILINE | re.DOTALL)
    comparison, shares = (found.splitlines() for found in re.findall(r"(?:^\|.*\n)+", section, re.MULTILINE))
    systems = ["fashion-vae (2 seeds)", "pair-of-nets"]
    assert [line.split("|")[1].strip() for line in comparison[2:]] == systems
    for column in ("cfid", "path length", "images/s"):
        assert column in comparison[0]
    assert [line.split("|")[1].strip() for line in shares[2:]] == ["test images", *systems]
    for line in (shares[2], shares[4]):
        assert sum(map(float, line.split("|")[2:-1])) == pytest.approx(1, abs=1e-3)
    assert "seeds 0 to 15 of every generator" in section
    assert "from seed 0 to seed 1" in section
    plots = re.findall(r"\]\((plots/[^)]+)\)", section)
    assert len(plots) == 2
    for name in plots:
        with Image.open(trained / "out" / name) as plot:
            assert plot.width > 600
            assert np.asarray(plot.convert("L")).std() > 20


def test_every_study_is_there_in_its_order_or_named_with_its_command(page: str, text: str):
    titles = [
        STUDIED.title if name == "regression" else name.replace("_", " ").capitalize() for name in STUDIES
    ]
    shown = [title.replace("\\", "") for title in headings(text)]
    assert [title for title in shown if title in titles] == titles
    for name in STUDIES:
        command = f"python -m training study {name}"
        assert (command in page) == (command in text) == (name != "regression")


def test_a_run_that_is_missing_is_named_with_its_command(page: str, text: str):
    there = [name for member in PLANNED_RUNS for name in member.fits() if name in RUNS]
    assert there == ["fashion-vae", "fashion-vae-seed-1"]
    for member in PLANNED_RUNS:
        for name, arguments in member.fits().items():
            command = f"python -m training {' '.join(arguments)}"
            assert (command in page) == (command in text) == (name not in RUNS)


def test_links_and_plots_of_the_markdown_file_are_there(trained: Path, text: str):
    plots = re.findall(r"!\[[^\]]*\]\(([^)]+)\)", text)
    assert len(plots) > 5
    assert len(set(plots)) == len(plots)
    on_disk = {f"plots/{path.name}" for path in (trained / "out" / "plots").iterdir()}
    assert set(plots) == on_disk
    links = re.findall(r"(?<!!)\[[^\n]*?\]\(#([^)]+)\)", text)
    assert len(links) > len(STUDIES)
    assert set(links) <= set(anchors(text))


def test_the_html_file_refers_to_nothing_outside_itself(page: str):
    links = Links(page)
    assert len(set(links.anchors)) == len(links.anchors)
    for reference in links.references:
        assert reference.startswith("data:image/png;base64,") or reference[1:] in links.anchors
    without_plots = re.sub(r"base64,[A-Za-z0-9+/=]+", "", page)
    assert not re.search(r"https?:|url\(|@import|<script", without_plots)


def test_the_html_file_is_made_for_phones_and_for_the_dark(page: str):
    assert '<meta name="viewport" content="width=device-width, initial-scale=1">' in page
    assert "light-dark(" in page
    assert "prefers-color-scheme: dark" in page


def test_the_same_runs_give_the_same_bytes(place_of_runs: Path):
    report(Path("again"), QUIET)
    for path in sorted(Path("out").rglob("*.*")):
        assert (Path("again") / path.relative_to("out")).read_bytes() == path.read_bytes(), path


def test_runs_that_differ_in_their_seed_alone_are_one_system(place_of_runs: Path):
    runs, refused = read_runs(QUIET)
    assert not refused
    assert [(group.name, len(group.runs)) for group in grouped(runs)] == [
        ("fashion-vae", 2),
        ("pair-of-nets", 1),
        ("plane", 1),
    ]


def test_what_was_run_names_data_settings_seeds_and_updates(place_of_runs: Path):
    runs, _ = read_runs(QUIET)
    table = what_was_run(grouped(runs))
    assert table.columns[:6] == ("system", "recipe", "data", "settings", "seeds", "updates")
    assert table.rows[0][:6] == (
        "fashion-vae",
        "vae",
        "fashion-mnist, 512 + 256 images",
        f"updates 2, batch size 16, precision {fastest('cpu')}, width 8",
        "0, 1",
        "2",
    )


def test_a_target_stands_beside_the_mean_over_seeds(place_of_runs: Path):
    runs, _ = read_runs(QUIET)
    table = targets(grouped(runs))
    own = [run.metrics["mse_over_pca"] for run in runs if run.record.recipe == "vae"]
    (row,) = (row for row in table.rows if row[:2] == ("fashion-vae", "mse over pca"))
    assert row[3:] == (spread(own), "missed")
    assert min(own) > 0.43  # two updates teach little
    assert all(row[4] == "not measured" for row in table.rows if row[0] not in RUNS)


def test_a_target_is_met_at_its_very_value_and_missed_beyond():
    assert Target("mse", "at most", 0.5).met(0.5)
    assert not Target("mse", "at most", 0.5).met(0.51)
    assert Target("knn_accuracy", "at least", 0.5).met(0.5)
    assert not Target("knn_accuracy", "at least", 0.5).met(0.49)


def test_of_several_directions_the_worst_is_judged_and_a_metric_may_be_divided(place_of_runs: Path):
    runs, _ = read_runs(QUIET)
    there = {"l1": 0.1, "noisy": 0.2, "ssim": 0.8}, {"l1": 0.2, "noisy": 0.3, "ssim": 0.6}
    metrics: list[dict[str, JsonValue]] = [
        {"judge": "none", "a to b": dict(there[0]), "b to a": dict(there[1])},
        {"a to b": {"ssim": 0.9}, "b to a": {"ssim": 0.5}},
    ]
    groups = {
        name: Group(name, (replace(run, metrics=found),))
        for name, run, found in zip(("free", "paired"), runs, metrics, strict=False)
    }
    family = (
        Target("*/l1", "at most", 0.15),
        Target("*/noisy", "at most", 2.0, over="*/l1"),
        Target("*/ssim", "at least", 0.85, over_member="paired"),
        Target("*/ssim", "at least", 0.85, over_member="absent"),
    )
    found = [measured(target, "free", groups) for target in family]
    assert found == [[0.2], [2.0], [pytest.approx(0.8 / 0.9)], []]


def test_several_seeds_are_their_mean_and_standard_deviation():
    assert spread([1.0, 2.0, 3.0]) == f"2 ± {np.std([1, 2, 3], ddof=1):.1g}"
    assert spread([10000, 10000]) == 10000
    assert spread(["a" * 64]) == f"`{'a' * 16}`"
    assert spread([]) == ""


def test_metrics_are_measured_once_and_again_after_the_run_went_on(
    place_of_runs: Path, monkeypatch: pytest.MonkeyPatch
):
    measured: list[str] = []
    monkeypatch.setattr(
        "training.runs.restore.evaluate", lambda recipe, *_: measured.append(recipe.family) or {"mse": 1.0}
    )
    read_runs(QUIET)
    assert measured == []
    state = Path("runs/plane/state.pt")
    other = main(["fit", *RUNS["plane"], *SMALL, "--seed", "5", "--name", "plane-5"])
    assert other == 0
    measured.clear()
    shutil.copy("runs/plane-5/state.pt", state)
    runs, _ = read_runs(QUIET)
    assert measured == ["autoencoder"]
    assert next(run for run in runs if run.record.name == "plane").metrics == {"mse": 1.0}
    read_runs(QUIET)
    assert measured == ["autoencoder"]


def test_a_run_that_cannot_be_read_is_left_out_by_name(place_of_runs: Path):
    record = Path("runs/plane/run.json")
    record.write_text(record.read_text().replace('"autoencoder"', '"forgotten"'))
    Path("runs/fashion-vae-seed-1/state.pt").write_bytes(b"damaged")
    (Path("runs/fashion-vae-seed-1") / "metrics.json").unlink()
    runs, refused = read_runs(QUIET)
    assert [run.record.name for run in runs] == ["fashion-vae", "pair-of-nets"]
    assert "`runs/fashion-vae-seed-1` is left out: " in refused[0]
    assert refused[1] == "`runs/plane` is left out: there is no recipe 'forgotten' any more."


def test_an_unfinished_run_says_so_and_train_goes_on_with_it(place_of_runs: Path):
    progress = Path("runs/fashion-vae/progress.json")
    progress.write_text(progress.read_text().replace('"total": 2', '"total": 1234'))
    runs, _ = read_runs(QUIET)
    assert "2 of 1,234: unfinished" in str(what_was_run(grouped(runs)).rows[0][5])
    first, third = (arguments for arguments in missing() if arguments[:2] == ["fit", "vae"])
    assert first[-1] == "--resume"
    assert third[-1] != "--resume"


def test_without_any_run_the_report_is_a_list_of_commands(workplace: Path):
    report(Path("out"), QUIET)
    text = Path("out/report.md").read_text()
    assert text.count("python -m training fit") == sum(len(member.seeds) for member in PLANNED_RUNS)
    assert text.count("python -m training study") == len(STUDIES)
    assert list(Path("out/plots").iterdir()) == []


def test_train_runs_what_is_missing_and_then_builds(
    workplace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    member = PlannedRun("tiny", "linear", ("--latent-dim", "4", *SMALL[:-1]), seeds=(0, 1))
    for module in ("training.report", "training.report.runs", "training.report.tables"):
        monkeypatch.setattr(f"{module}.PLANNED_RUNS", (member,))
    monkeypatch.setattr("training.report.STUDIES", ())
    monkeypatch.setattr(latent_map, "EMBEDDED", 60)
    assert main(["report", "--train"]) == 0
    assert capsys.readouterr().out.strip() == "runs/report/report.html"
    text = (workplace / "runs/report/report.md").read_text()
    assert "tiny (2 seeds)" in text
    assert "Not run yet" not in text
    assert missing() == []
    assert not (workplace / "checkpoints").exists()


@pytest.mark.parametrize("member", PLANNED_RUNS, ids=lambda member: member.name)
def test_the_family_is_made_of_commands_that_exist(member: PlannedRun):
    for name, arguments in member.fits().items():
        options = parser().parse_args(arguments)
        RECIPES[member.recipe].config_type.model_validate(
            {
                key: getattr(options, key)
                for key in RECIPES[member.recipe].config_type.model_fields
                if getattr(options, key) is not None
            }
        )
        assert (options.name, options.no_package) == (name, True)


def test_names_in_the_family_are_given_once():
    names = [name for member in PLANNED_RUNS for name in member.fits()]
    assert len(set(names)) == len(names)


def test_metrics_by_part_are_a_table_with_a_row_for_every_system_and_part():
    def group(name: str, *metrics: dict[str, JsonValue]) -> Group:
        return Group(name, tuple(SimpleNamespace(metrics=one) for one in metrics))  # type: ignore[arg-type]

    two = group("two", {"mse": 1, "by": {"x": {"a": 1.0}}}, {"mse": 3, "by": {"x": {"a": 1.5}}})
    one = group("one", {"there": {"l1": 4}, "by": {"y": {"a": 2, "b": 3}}})
    tables = {table.title: table for table in metric_tables([two, one])}
    assert tables["Metrics"].rows == (("two (2 seeds)", "2 ± 1"), ("one", ""))
    assert tables["By"].columns == ("system", "of", "a", "b")
    assert tables["By"].rows == (("two (2 seeds)", "x", "1.25 ± 0.4", ""), ("one", "y", 2, 3))
    assert tables["By part"].rows == (("one", "there", 4),)


def test_confusions_in_the_report_agree_with_those_of_the_run(place_of_runs: Path, page: str):
    folder = Path("runs/plane")
    saved = opened(folder)
    data = data_of(saved, print)
    assert isinstance(data, Dataset)
    recipe = load_recipe(saved, data)
    found = latent_map.latents_by_class(recipe.operations()["encode"], recipe.value_range, data)
    worst = latent_map.confusions(np.array(found.counts), data.classes)[0]
    assert f"<td>{worst.true}</td>\n<td>{worst.taken_for}</td>" in page
    assert sum(map(sum, found.counts)) == len(fashion_mnist(FASHION).test)
    measured = next(run.metrics for run in read_runs(QUIET)[0] if run.record.name == "plane")
    right = sum(found.counts[label][label] for label in range(10))
    assert right / len(data.test) == pytest.approx(measured["knn_accuracy"])


def test_markdown_shows_signs_as_they_are():
    section = Section("*s*", (STUDIED.question, "R&D &lt; &#60;"))
    text, plots = markdown(list(place(Section("R", (), STUDIED.parts[:1], (section,)))))
    lines = text.splitlines()
    assert r"| 1 \< 2 \| 3 | 0.1235 |" in lines
    assert r"| x\|y | n |" in lines
    assert "| --- | ---: |" in lines
    assert r"Is `a|b` \< 2\*c\_d\*e?" in lines
    assert r"R&D \&lt; \&#60;" in lines
    assert plots == {}


def test_html_shows_signs_as_they_are():
    placed = list(place(Section("<R>", (STUDIED.question, "R&D &lt;"), STUDIED.parts)))
    shown = page_html(placed, *markdown(placed))
    assert "<p>Is <code>a|b</code> &lt; 2*c_d*e?</p>" in shown
    assert "<p>R&amp;D &amp;lt;</p>" in shown
    assert '<td>1 &lt; 2 | 3</td>\n<td style="text-align:right">0.1235</td>' in shown
    assert "<title>&lt;R&gt;</title>" in shown


def test_headings_of_the_same_words_have_anchors_of_their_own():
    twice = Section("Top", (), (), (Section("A b"), Section("A b")))
    assert [one.anchor for one in place(twice)] == ["top", "a-b", "a-b-1"]


@pytest.mark.parametrize(
    ("title", "anchor"),
    [
        ("The manifold y = x²", "the-manifold-y--x"),
        ("L1, L2 and decay", "l1-l2-and-decay"),
        ("n_w/n: é", "n_wn-é"),
    ],
)
def test_anchors_are_those_of_github(title: str, anchor: str):
    assert [one.anchor for one in place(Section(title))] == [anchor]


def test_plots_of_an_earlier_report_go_and_other_files_stay(tmp_path: Path):
    write(Section("Top", (), (Plot(title="Old", png=PNG),)), tmp_path)
    (tmp_path / "plots" / "mine.png").write_bytes(PNG)
    write(Section("Top", (), (Plot(title="New", png=PNG),)), tmp_path)
    assert sorted(path.name for path in (tmp_path / "plots").iterdir()) == ["mine.png", "top-new.png"]


def test_settings_are_those_that_are_not_the_defaults(place_of_runs: Path):
    runs: list[Trained] = read_runs(QUIET)[0]
    chosen = f"updates 2, batch size 16, precision {fastest('cpu')}, latent dim 2, width 8"
    assert settings(runs[-1].record) == chosen


def test_columns_of_numbers_stand_at_the_right():
    cells = (("one", 1, "1 ± 0.2", "1, 2", "", -1e-7), ("two", 0.5, "", "3", "", "15,000"))
    table = Table(title="T", columns=("a", "b", "c", "d", "e", "f"), rows=cells)
    assert rows(table)[1] == "| --- | ---: | ---: | --- | --- | ---: |"


def test_the_html_file_holds_every_plot_and_the_contents_once(trained: Path, page: str, text: str):
    plots = re.findall(r"\]\((plots/[^)]+)\)", text)
    images = re.findall(r'<img src="data:image/png;base64,([^"]+)"', page)
    assert [base64.b64decode(image) for image in images] == [
        (trained / "out" / path).read_bytes() for path in plots
    ]
    contents, main = page.split("</nav>")
    assert contents.count('<a href="#') == len(re.findall(r"^ *- \[", text, re.MULTILINE))
    assert '<a href="#' not in main
