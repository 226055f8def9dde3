"""Repository: what serves, what is refused, and what happens when the folder changes."""

import asyncio
import io
import logging
import math
import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from service import checkpoint
from service.coordination.desired_state import DesiredState
from service.errors import NotReady, OperationNotOffered, UnknownModel
from service.repository.catalogue import ModelStatus
from service.repository.repository import Repository
from service.settings import Settings
from support.tiny_checkpoints import describe_tiny, to_npz, write_tiny


@pytest.fixture
async def repository(tmp_path: Path) -> AsyncIterator[Repository]:
    """A repository on an empty folder, to be refreshed by hand."""
    found = Repository(Settings(checkpoints=tmp_path, reload_interval_s=0))
    await found.start()
    yield found
    await found.stop()


def status(repository: Repository, name: str = "tiny") -> ModelStatus:
    return {status.name: status for status in repository.now().listing()}[name]


async def colour(repository: Repository, model: str | None = None) -> float:
    """Return the version's colour, as it paints it."""
    latents = {"latents": np.zeros((1, 4), np.float32)}
    images = (await repository.get(model, "decode").run("decode", latents, math.inf))["images"]
    assert images.min() == images.max()
    return float(images.max())


def spoil_weights(files: dict[str, bytes], key: str, value: float) -> None:
    """Set one number of a graph's largest weight, behind the golden sample's back."""
    model = onnx.load_from_string(files[f"{key}.onnx"])
    index = max(range(len(model.graph.initializer)), key=lambda i: model.graph.initializer[i].ByteSize())
    weight = numpy_helper.to_array(model.graph.initializer[index]).copy()
    weight.flat[0] = value
    model.graph.initializer[index].CopyFrom(
        numpy_helper.from_array(weight, model.graph.initializer[index].name)
    )
    files[f"{key}.onnx"] = model.SerializeToString()


def change_golden(files: dict[str, bytes], change: Callable[[dict[str, Any]], object]) -> None:
    with np.load(io.BytesIO(files["golden.npz"])) as archive:
        arrays = dict(archive)
    change(arrays)
    files["golden.npz"] = to_npz(arrays)


async def test_empty_folder_is_not_ready(repository: Repository):
    assert not repository.ready()
    assert repository.now().listing() == []
    with pytest.raises(NotReady):
        repository.get(None, "encode")


async def test_folder_that_does_not_exist_is_not_ready_until_it_does(tmp_path: Path):
    repository = Repository(Settings(checkpoints=tmp_path / "later", reload_interval_s=0))
    await repository.start()
    assert not repository.ready()
    write_tiny(tmp_path / "later")
    await repository.refresh()
    assert repository.ready()
    await repository.stop()


async def test_model_computes_what_its_graph_computes(tmp_path: Path, repository: Repository):
    folder = write_tiny(tmp_path)
    await repository.refresh()
    golden = checkpoint.read(folder).golden
    model = repository.get("tiny", "encode")
    got = await model.run("encode", {"images": golden["encode.in.images"]}, math.inf)
    assert np.array_equal(got["latents"], golden["encode.out.latents"])


async def test_highest_version_serves(tmp_path: Path, repository: Repository):
    for version in (1, 2, 10):
        write_tiny(tmp_path, version=version, colour=version / 16)
    await repository.refresh()
    assert await colour(repository) == 10 / 16
    assert (status(repository).version, status(repository).versions) == (10, (10, 2, 1))


def nan_weight(_: dict[str, Any], files: dict[str, bytes]) -> None:
    spoil_weights(files, "decode", np.nan)


def wrong_weight(_: dict[str, Any], files: dict[str, bytes]) -> None:
    spoil_weights(files, "decode", 5.0)


def nan_golden(_: dict[str, Any], files: dict[str, bytes]) -> None:
    spoil_weights(files, "decode", np.nan)
    change_golden(files, lambda arrays: arrays["decode.out.images"].fill(np.nan))


def golden_missing(_: dict[str, Any], files: dict[str, bytes]) -> None:
    change_golden(files, lambda arrays: arrays.pop("encode.out.latents"))


def golden_of_other_shape(_: dict[str, Any], files: dict[str, bytes]) -> None:
    change_golden(
        files, lambda arrays: arrays.update({"encode.in.images": np.zeros((1, 1, 9, 8), np.float32)})
    )


def golden_of_other_type(_: dict[str, Any], files: dict[str, bytes]) -> None:
    change_golden(files, lambda arrays: arrays.update({"encode.in.images": np.zeros((1, 1, 8, 8))}))


def golden_without_rows(_: dict[str, Any], files: dict[str, bytes]) -> None:
    change_golden(
        files, lambda arrays: arrays.update({"encode.in.images": np.zeros((0, 1, 8, 8), np.float32)})
    )


def golden_of_unequal_rows(_: dict[str, Any], files: dict[str, bytes]) -> None:
    change_golden(
        files, lambda arrays: arrays.update({"encode.in.images": np.zeros((2, 1, 8, 8), np.float32)})
    )


def graphs_swapped(_: dict[str, Any], files: dict[str, bytes]) -> None:
    files["decode.onnx"], files["encode.onnx"] = files["encode.onnx"], files["decode.onnx"]


def garbage_graph(_: dict[str, Any], files: dict[str, bytes]) -> None:
    files["decode.onnx"] = b"\x00" * 1000


SPOILT = {
    nan_weight: "decode gives numbers that are not finite",
    wrong_weight: "golden sample: decode is off by",
    nan_golden: "decode.out.images has numbers that are not finite",
    golden_missing: "encode.out.latents is missing",
    golden_of_other_shape: "encode.in.images is not of the type and shape",
    golden_of_other_type: "encode.in.images is not of the type and shape",
    golden_without_rows: "encode.in.images is not of the type and shape",
    golden_of_unequal_rows: "encode has not the same rows everywhere",
    graphs_swapped: "inputs are not those of the manifest",
    garbage_graph: "decode.onnx is not a graph that can be run",
}


@pytest.mark.parametrize("spoil", SPOILT, ids=lambda spoil: spoil.__name__)
async def test_spoilt_checkpoint_is_refused_by_name_while_others_serve(
    tmp_path: Path, repository: Repository, spoil: Callable[[dict[str, Any], dict[str, bytes]], None]
):
    description, files = describe_tiny("bad", default_for=("decode",))
    spoil(description, files)
    checkpoint.write(tmp_path, description, files)
    write_tiny(tmp_path, "good", colour=0.25)
    await repository.refresh()
    assert repository.ready()
    assert status(repository, "bad").state == "refused"
    assert SPOILT[spoil] in (status(repository, "bad").reason or "")
    assert await colour(repository) == 0.25
    with pytest.raises(UnknownModel):
        repository.get("bad", "decode")


async def test_label_that_breaks_only_its_own_weights_is_found(tmp_path: Path, repository: Repository):
    description, files = describe_tiny(operations=("generate",), classes=tuple("abcdefghij"))
    spoil_weights(files, "generate", np.nan)  # the table's row of label 0; the golden sample has label 1
    checkpoint.write(tmp_path, description, files)
    await repository.refresh()
    assert "not finite" in (status(repository).reason or "")


async def test_new_version_takes_over(tmp_path: Path, repository: Repository):
    write_tiny(tmp_path, version=1, colour=0.125)
    await repository.refresh()
    write_tiny(tmp_path, version=2, colour=0.25)
    await repository.refresh()
    assert await colour(repository) == 0.25


async def test_bad_new_version_leaves_the_old_one_and_says_why(tmp_path: Path, repository: Repository):
    write_tiny(tmp_path, version=1, colour=0.125)
    await repository.refresh()
    (write_tiny(tmp_path, version=2, colour=0.25) / "decode.onnx").write_bytes(b"")
    await repository.refresh()
    assert await colour(repository) == 0.125
    assert status(repository).state == "serving"
    assert status(repository).version == 1
    assert status(repository).reason == "version 2: decode.onnx does not match its hash in checkpoint.json"


async def test_version_that_was_copied_slowly_serves_once_it_is_whole(tmp_path: Path, repository: Repository):
    whole = write_tiny(tmp_path / "elsewhere")
    folder = tmp_path / "tiny" / "1"
    folder.mkdir(parents=True)
    for file in sorted(whole.iterdir(), reverse=True):
        assert not repository.ready()
        shutil.copy(file, folder)
        await repository.refresh()
    assert repository.ready()
    assert status(repository).reason is None


async def test_refused_version_is_not_tried_again_until_it_changes(
    tmp_path: Path, repository: Repository, caplog: pytest.LogCaptureFixture
):
    folder = write_tiny(tmp_path)
    graph = (folder / "decode.onnx").read_bytes()
    (folder / "decode.onnx").write_bytes(b"")
    for _ in range(3):
        await repository.refresh()
    assert caplog.text.count("refused tiny/1") == 1
    (folder / "decode.onnx").write_bytes(graph)
    await repository.refresh()
    assert repository.ready()


async def test_removed_version_falls_back_to_the_next(tmp_path: Path, repository: Repository):
    for version in (1, 2, 3):
        write_tiny(tmp_path, version=version, colour=version / 8)
    (tmp_path / "tiny" / "2" / "decode.onnx").unlink()
    await repository.refresh()
    shutil.rmtree(tmp_path / "tiny" / "3")
    await repository.refresh()
    assert await colour(repository) == 1 / 8


async def test_removed_name_disappears(tmp_path: Path, repository: Repository):
    write_tiny(tmp_path, "gone")
    write_tiny(tmp_path, "stays")
    await repository.refresh()
    shutil.rmtree(tmp_path / "gone")
    await repository.refresh()
    assert [status.name for status in repository.now().listing()] == ["stays"]


async def test_serving_version_spoilt_on_disk_goes_on_serving_from_memory(
    tmp_path: Path, repository: Repository
):
    folder = write_tiny(tmp_path, colour=0.125)
    await repository.refresh()
    (folder / "decode.onnx").write_bytes(b"")
    await repository.refresh()
    assert await colour(repository) == 0.125
    assert "does not match" in (status(repository).reason or "")


async def test_folder_that_vanishes_leaves_what_is_loaded(tmp_path: Path):
    root = tmp_path / "checkpoints"
    write_tiny(root)
    repository = Repository(Settings(checkpoints=root, reload_interval_s=0))
    await repository.start()
    root.rename(tmp_path / "unmounted")
    await repository.refresh()
    assert repository.ready()
    await repository.stop()


async def test_request_in_flight_finishes_on_the_version_it_began_with(
    tmp_path: Path, repository: Repository
):
    write_tiny(tmp_path, version=1, colour=0.125, slow_ms=60, operations=("decode",))
    await repository.refresh()
    running = asyncio.create_task(colour(repository))
    await asyncio.sleep(0)
    write_tiny(tmp_path, version=2, colour=0.25)
    await repository.refresh()
    assert await colour(repository) == 0.25
    assert await running == 0.125


async def test_polling_finds_a_new_version(tmp_path: Path):
    write_tiny(tmp_path, version=1)
    repository = Repository(Settings(checkpoints=tmp_path, reload_interval_s=0.01))
    await repository.start()
    write_tiny(tmp_path, version=2)
    async with asyncio.timeout(5):
        while status(repository).version != 2:
            await asyncio.sleep(0.01)
    await repository.stop()


def in_two_workers(*roots: Path) -> list[Repository]:
    """Return repositories that agree on what they serve, each to be refreshed by hand."""
    state = DesiredState(2)
    return [
        Repository(Settings(checkpoints=root, reload_interval_s=0), state.participant(number))
        for number, root in enumerate(roots)
    ]


async def test_workers_change_over_when_the_last_has_loaded(tmp_path: Path):
    root = tmp_path / "checkpoints"
    write_tiny(root, version=1)
    workers = in_two_workers(root, root)
    for worker in workers:
        await worker.start()
    write_tiny(root, version=2)
    await workers[0].refresh()
    assert [status(worker).version for worker in workers] == [1, 1]
    await workers[1].refresh()
    assert [status(worker).version for worker in workers] == [2, 2]
    shutil.rmtree(root / "tiny" / "2")
    await workers[1].refresh()
    assert [status(worker).version for worker in workers] == [2, 2]
    await workers[0].refresh()
    assert [status(worker).version for worker in workers] == [1, 1]
    for worker in workers:
        await worker.stop()


async def test_what_was_withdrawn_before_all_had_it_never_serves(tmp_path: Path):
    root = tmp_path / "checkpoints"
    write_tiny(root, version=1, colour=0.125)
    workers = in_two_workers(root, root)
    for worker in workers:
        await worker.start()
    write_tiny(root, version=2)
    await workers[0].refresh()
    (root / "tiny" / "1" / "decode.onnx").write_bytes(b"")
    shutil.rmtree(root / "tiny" / "2")
    for worker in workers:
        await worker.refresh()
        assert await colour(worker) == 0.125  # from memory, as it is spoilt on the disk
    for worker in workers:
        await worker.stop()


async def test_workers_that_never_find_the_same_each_serve_what_they_can(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    for version, name in ((1, "a"), (2, "b")):
        write_tiny(tmp_path / name, version=version)
    first, second = in_two_workers(tmp_path / "a", tmp_path / "b")
    await first.start()
    starting = asyncio.create_task(second.start())
    while not starting.done():
        await first.refresh()
        await asyncio.sleep(0.01)
    for _ in range(5):
        await first.refresh()
        await second.refresh()
    assert (status(first).version, status(second).version) == (1, 2)
    assert caplog.text.count("other workers cannot serve tiny@2") == 1
    for worker in (first, second):
        await worker.stop()


async def test_loading_leaves_the_event_loop_free(tmp_path: Path, repository: Repository):
    for name in "abcdef":
        write_tiny(tmp_path, name, operations=("decode",), slow_ms=10)
    refreshing = asyncio.create_task(repository.refresh())
    turns = 0
    while not refreshing.done():
        await asyncio.sleep(0.001)
        turns += 1
    assert len(repository.now().listing()) == 6
    assert turns > 20  # were a model loaded on the loop, it would turn once for each


async def test_a_held_name_serves_no_higher_version(tmp_path: Path, repository: Repository):
    for version in (1, 2):
        write_tiny(tmp_path, version=version, colour=version / 10)
    write_tiny(tmp_path, "other", 2)
    await repository.hold({"tiny": 1, "nobody": 3})
    assert await colour(repository, "tiny") == pytest.approx(0.1)
    assert (status(repository).versions, status(repository).reason) == ((2, 1), None)
    assert status(repository, "other").version == 2
    await repository.refresh()
    assert status(repository).version == 1
    await repository.hold({"tiny": 3})
    assert await colour(repository, "tiny") == pytest.approx(0.2)
    await repository.hold({"tiny": 1})
    assert await colour(repository, "tiny") == pytest.approx(0.1)
    await repository.hold({})
    assert await colour(repository, "tiny") == pytest.approx(0.2)


async def test_what_is_loaded_serves_on_where_no_held_version_can(tmp_path: Path, repository: Repository):
    description, files = describe_tiny(version=1)
    spoil_weights(files, "decode", math.nan)
    checkpoint.write(tmp_path, description, files)
    write_tiny(tmp_path, version=2)
    await repository.refresh()
    await repository.hold({"tiny": 1})
    assert (status(repository).state, status(repository).version) == ("serving", 2)
    assert "version 1: " in (status(repository).reason or "")


async def test_a_name_whose_versions_are_all_held_back_is_refused(tmp_path: Path, repository: Repository):
    write_tiny(tmp_path, version=4)
    await repository.hold({"tiny": 3})
    assert (status(repository).state, status(repository).version) == ("refused", 4)
    assert status(repository).reason == "version 4: no version above 3 is to serve"


@pytest.mark.parametrize("name", ["Tiny", "tiny_2", "tiny 2"])
async def test_folder_whose_name_is_no_checkpoint_name_is_refused(
    tmp_path: Path, repository: Repository, name: str
):
    write_tiny(tmp_path).parent.rename(tmp_path / name)
    await repository.refresh()
    assert status(repository, name).state == "refused"
    assert "lower-case" in (status(repository, name).reason or "")


async def test_other_folders_are_no_checkpoints(tmp_path: Path, repository: Repository):
    (tmp_path / ".git" / "1").mkdir(parents=True)
    (tmp_path / "notes").mkdir()
    (tmp_path / "tiny").write_text("a file")
    await repository.refresh()
    assert repository.now().listing() == []


async def test_models_are_chosen_by_claim_then_by_name(
    tmp_path: Path, repository: Repository, caplog: pytest.LogCaptureFixture
):
    write_tiny(tmp_path, "a", operations=("encode", "decode"))
    write_tiny(tmp_path, "b", operations=("encode",), default_for=("encode",))
    write_tiny(tmp_path, "c", default_for=("encode",))
    write_tiny(tmp_path, "d", operations=(), domains=("bags", "boots"))
    write_tiny(tmp_path, "e", operations=(), domains=("sneakers", "boots"), default_for=("translate",))
    with caplog.at_level(logging.WARNING):
        await repository.refresh()
    assert "['b', 'c'] all claim to be default for encode; b is" in caplog.text

    def chosen(offers: Any, to: str | None = None) -> str:
        return repository.get(None, offers, to).manifest.name

    assert chosen("encode") == "b"
    assert chosen("decode") == "a"
    assert chosen("generate") == "c"
    assert chosen("reconstruct") == "c"
    assert chosen("translate") == "e"
    assert chosen("translate", "boots") == "e"
    assert chosen("translate", "bags") == "d"
    assert {status.name: status.default_for for status in repository.now().listing()} == {
        "a": (),
        "b": ("encode",),
        "c": (),
        "d": (),
        "e": ("translate",),
    }


async def test_named_model_must_exist_and_offer_the_operation(tmp_path: Path, repository: Repository):
    write_tiny(tmp_path, "a", 1, operations=("encode",))
    write_tiny(tmp_path, "a", 2, operations=("encode",))
    write_tiny(tmp_path, "b", operations=(), domains=("bags", "boots"))
    await repository.refresh()
    assert repository.get("a@2", "encode") is repository.get("a", "encode")
    with pytest.raises(UnknownModel, match="version 2 is"):
        repository.get("a@1", "encode")
    with pytest.raises(UnknownModel, match="known are a, b"):
        repository.get("c", "encode")
    with pytest.raises(OperationNotOffered, match="a does not offer decode; it offers encode"):
        repository.get("a", "decode")
    with pytest.raises(OperationNotOffered, match="translates to bags, boots only"):
        repository.get("b", "translate", "hats")
    with pytest.raises(OperationNotOffered, match="No checkpoint"):
        repository.get(None, "generate")


@pytest.mark.parametrize(
    "name", ["", "@", "a@", "a@x", "a@02", "a@2@2", "../a", "a/2", "A", "a\x00", "a" * 10_000]
)
async def test_hostile_model_name_is_unknown(tmp_path: Path, repository: Repository, name: str):
    write_tiny(tmp_path, "a", 2)
    await repository.refresh()
    with pytest.raises(UnknownModel) as refusal:
        repository.get(name, "encode")
    assert len(refusal.value.detail) < 100
