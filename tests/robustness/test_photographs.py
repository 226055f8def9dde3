"""Photographs over HTTP: metadata never decides, and what is cut is refused."""

from collections import Counter
from collections.abc import Iterator

import pytest
from httpx import Client

from support.image_files import file
from support.photographs import ODD, clean, cut_and_closed, of_odd_metadata, stored
from support.problem_json import check_problem
from support.service_process import ServiceProcess
from support.tiny_checkpoints import write_tiny
from tools.robustness_table import Measured, forms


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    root = tmp_path_factory.mktemp("photographs")
    write_tiny(root / "checkpoints", size=28, default_for=("encode", "decode"))
    with ServiceProcess(root / "checkpoints", root / "service.log") as running, running.client() as opened:
        yield opened


def latents(client: Client, raw: bytes) -> list[list[float]]:
    answer = client.post("/encode", content=raw, headers={"content-type": "image/jpeg"})
    assert answer.status_code == 200, answer.text
    return answer.json()["latents"]


@forms("count", short=800, full=5_000)
def test_metadata_never_decides(client: Client, count: int, measured: Measured):
    expected = {(kind, turn): latents(client, clean(kind, turn)) for kind in ODD for turn in range(1, 9)}
    upright = latents(client, file(stored(1), "PNG"))
    assert all(expected["PNG", turn] == upright for turn in range(1, 9))
    counts: Counter[str] = Counter()
    for number, (kind, turn, raw) in enumerate(of_odd_metadata(count)):
        assert latents(client, raw) == expected[kind, turn], f"{kind} {turn}, number {number}"
        counts[kind] += 1
    kinds = ", ".join(f"{found} {kind}" for kind, found in counts.items())
    measured(34, f"{count:,} photographs of odd metadata read as those of none ({kinds})")


@forms("count", short=400, full=2_000)
def test_a_photograph_that_is_cut_and_closed_is_refused(client: Client, count: int, measured: Measured):
    for number, (kind, raw) in enumerate(cut_and_closed(count)):
        answer = client.post("/encode", content=raw, headers={"content-type": "image/jpeg"})
        assert answer.status_code == 422, f"a cut {kind}, number {number}: {answer.text[:200]}"
        check_problem(answer, 422, "invalid-field")
    measured(34, f"{count:,} cut and closed with an end marker, all 422")
