"""How speed and memory grow: with batches, image sizes, loaded models and workers."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np

from benchmarks.serving import bodies, load, work
from benchmarks.serving.peers.configurations import CONFIGURATIONS, ours
from benchmarks.serving.server import Server
from benchmarks.serving.table import OURS
from service.media import npy
from training import plots
from training.studies.findings import Findings, Plot, Table

BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
SIZES = (28, 32, 48, 64, 96, 128, 192, 256)
IMAGES = 16
"""In one request, where their size grows."""
MODELS = (1, 2, 5, 10, 20, 50, 100)
WORKERS = (1, 2, 3, 4)
CONNECTIONS = 64
Points = list[tuple[float, ...]]


def findings(seconds: float) -> Findings:
    """Measure our service in every direction."""
    tables = (
        _table("Images in one request", ("images", "images/s"), _batches(seconds)),
        _table("Side of the images", ("pixels", "images/s", "megapixels/s"), _sizes(seconds)),
        _table(
            "Loaded models", ("models", "s to the first answer", "PSS MiB", "requests/s"), _models(seconds)
        ),
        _table("Workers", ("workers", "PSS MiB", "requests/s"), _workers(seconds)),
    )
    question = "What becomes of speed and memory as batches, images, models and workers grow?"
    return Findings(title="Growth of the service", question=question, parts=(*tables, _plot(tables)))


def _batches(seconds: float) -> Points:
    """Return images per second by the number of images in a request, of one client."""
    images = np.load(work.FOLDER / "batch.npy")
    with Server(CONFIGURATIONS[OURS]) as server:
        return [(rows, round(_images_per_s(server, images[:rows], seconds))) for rows in BATCHES]


def _sizes(seconds: float) -> Points:
    """Return images and millions of pixels per second by the side of the images."""
    random = np.random.default_rng(0)
    found: Points = []
    for side in SIZES:
        folder = _empty("sized")
        work.package_sized(folder, side)
        with Server(ours(2, 8202, folder)) as server:
            images = random.integers(0, 256, (IMAGES, side, side), np.uint8)
            speed = _images_per_s(server, images, seconds)
        found.append((side, round(speed), speed * side**2 / 1e6))
    return found


def _models(seconds: float) -> Points:
    """Return start, memory and speed by the number of loaded models."""
    found: Points = []
    for count in MODELS:
        folder = _empty("many")
        work.copies(folder, count)
        with Server(ours(2, 8203, folder)) as server:
            speed = _requests_per_s(server, seconds)
            found.append((count, server.first_answer_s, round(server.pss_mib()), round(speed)))
    return found


def _workers(seconds: float) -> Points:
    """Return memory and speed by the number of workers."""
    found: Points = []
    for count in WORKERS:
        with Server(ours(count, 8204)) as server:
            speed = _requests_per_s(server, seconds)
            found.append((count, round(server.pss_mib()), round(speed)))
    return found


def _images_per_s(server: Server, images: np.ndarray, seconds: float) -> float:
    body = npy.write(images)
    return load.bulk(lambda: server.post("/encode", body, "application/x-npy"), len(images), seconds)


def _requests_per_s(server: Server, seconds: float) -> float:
    asked = bodies.write("latent", "encode")
    load.closed_loop(server.url, "/encode", asked, CONNECTIONS, 1)
    return load.closed_loop(server.url, "/encode", asked, CONNECTIONS, seconds).per_second


def _empty(name: str) -> Path:
    folder = work.FOLDER / name
    shutil.rmtree(folder, ignore_errors=True)
    return folder


def _table(title: str, columns: tuple[str, ...], points: Points) -> Table:
    return Table(title=title, columns=columns, rows=tuple(points))


def _plot(tables: tuple[Table, ...]) -> Plot:
    """Draw the last column of every table, and the memory of loaded models, against the first."""
    figure, axes = plots.panels(len(tables) + 1, columns=3)
    drawn = [(table, len(table.columns) - 1) for table in tables] + [(tables[2], 2)]
    for each, (table, column) in zip(axes, drawn, strict=True):
        each.plot([row[0] for row in table.rows], [row[column] for row in table.rows], "o-")
        each.set(title=table.title, xlabel=table.columns[0], ylabel=table.columns[column])
        each.set_ylim(bottom=0)
    return Plot(title="Growth", png=plots.png(figure))
