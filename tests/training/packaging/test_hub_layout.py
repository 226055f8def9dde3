"""Checkpoints in the layout of the Hugging Face hub; tests/clients reads them with its library."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.numpy import load_file

from service import checkpoint
from support import doc_examples
from support.service_process import ROOT, shipped
from support.tiny_checkpoints import describe_tiny, write_tiny
from training.cli.commands import main
from training.packaging.hub_front_matter import front_matter

SHIPPED = sorted(path for path in (ROOT / "checkpoints").glob("*/*") if path.is_dir())


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("folder", SHIPPED, ids=lambda folder: folder.parent.name)
def test_a_shipped_checkpoint_goes_to_the_layout_and_back_byte_for_byte(folder: Path, workplace: Path):
    assert main(["package", "--hub", "exported", str(folder)]) == 0
    files, placed = contents(folder), contents(workplace / "exported")
    assert placed["config.json"] == files["checkpoint.json"]
    assert placed["model.safetensors"] == files["weights.safetensors"]
    assert placed["README.md"].endswith(b"\n---\n" + files["README.md"])
    graphs = {name for name in files if name.endswith(".onnx")}
    assert {name for name in placed if name.startswith("onnx/")} == {f"onnx/{name}" for name in graphs}
    assert len(placed) == len(files)

    assert main(["package", "--from-hub", "exported"]) == 0
    back = workplace / "checkpoints" / folder.parent.name / folder.name
    assert contents(back) == files
    checkpoint.read(back)


def test_the_layouts_weights_are_read_without_this_project(workplace: Path):
    (folder,) = (folder for folder in SHIPPED if folder.parent.name == "fashion-vae")
    assert main(["package", "--hub", "exported", str(folder)]) == 0
    assert load_file("exported/model.safetensors").keys() == load_file(folder / "weights.safetensors").keys()


def test_a_folder_of_links_as_the_hubs_cache_has_it_is_read(workplace: Path):
    folder = write_tiny(workplace / "made")
    assert main(["package", "--hub", "exported", str(folder)]) == 0
    for name, raw in contents(workplace / "exported").items():
        link = workplace / "cached" / name
        link.parent.mkdir(parents=True, exist_ok=True)
        blob = workplace / f"blob-{name.replace('/', '-')}"
        blob.write_bytes(raw)
        link.symlink_to(blob)
    assert main(["package", "--from-hub", "cached"]) == 0
    assert contents(workplace / "checkpoints" / "tiny" / "1") == contents(folder)


def test_front_matter_may_be_edited_and_the_text_below_it_may_not(
    workplace: Path, capsys: pytest.CaptureFixture[str]
):
    description, files = describe_tiny()
    folder = checkpoint.write(workplace / "made", description, {**files, "README.md": b"# A card\n\n---\n"})
    assert main(["package", "--hub", "exported", str(folder)]) == 0
    card = workplace / "exported" / "README.md"
    text = card.read_text()
    card.write_text(text.replace("tags:\n", "tags:\n- shoes\n"))
    assert main(["package", "--from-hub", "exported"]) == 0
    assert contents(workplace / "checkpoints" / "tiny" / "1") == contents(folder)
    shutil.rmtree(workplace / "checkpoints")
    card.write_text(text.replace("# A card", "# Another"))
    assert main(["package", "--from-hub", "exported"]) == 1
    assert "README.md does not match its hash" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("config.json", "checkpoint.json does not match checkpoint.sha256"),
        ("onnx/encode.onnx", "encode.onnx does not match its hash"),
        ("golden.npz", "golden.npz does not match its hash"),
    ],
)
def test_a_changed_or_missing_file_is_refused_by_name(
    name: str, message: str, workplace: Path, capsys: pytest.CaptureFixture[str]
):
    assert main(["package", "--hub", "exported", str(write_tiny(workplace / "made"))]) == 0
    path = workplace / "exported" / name
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(raw)
    assert main(["package", "--from-hub", "exported"]) == 1
    assert message in capsys.readouterr().err
    path.unlink()
    assert main(["package", "--from-hub", "exported"]) == 1
    assert f"exported/{name}: No such file or directory" in capsys.readouterr().err
    assert not (workplace / "checkpoints").exists()


def test_a_config_that_names_files_elsewhere_is_refused_before_any_is_read(
    workplace: Path, capsys: pytest.CaptureFixture[str]
):
    assert main(["package", "--hub", "exported", str(write_tiny(workplace / "made"))]) == 0
    config = workplace / "exported" / "config.json"
    lies = json.loads(config.read_bytes())
    lies["files"]["../../secret"] = {"sha256": "0" * 64, "bytes": 1}
    config.write_text(json.dumps(lies))
    recorded = workplace / "exported" / "checkpoint.sha256"
    recorded.write_text(checkpoint.sha256(config.read_bytes()))
    assert main(["package", "--from-hub", "exported"]) == 1
    assert "checkpoint.json: files" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--hub", "made", "made/tiny/1"], "made exists already"),
        (["--hub", "exported", "made/tiny/2"], "checkpoint.json is missing"),
        (["--hub", "exported", "made/tiny/1", "--default-for", "encode"], "--default-for is for runs"),
        (["--from-hub", "nowhere"], "nowhere/config.json: No such file or directory"),
    ],
)
def test_a_wrong_call_gets_one_line(
    words: list[str], message: str, workplace: Path, capsys: pytest.CaptureFixture[str]
):
    write_tiny(workplace / "made")
    before = set(workplace.iterdir())
    assert main(["package", *words]) == 1
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error
    assert set(workplace.iterdir()) == before


def test_a_version_that_is_there_is_not_replaced(workplace: Path, capsys: pytest.CaptureFixture[str]):
    folder = write_tiny(workplace / "checkpoints")
    assert main(["package", "--hub", "exported", str(folder)]) == 0
    assert main(["package", "--from-hub", "exported"]) == 1
    assert "tiny/1 exists already" in capsys.readouterr().err


def test_a_file_of_a_name_that_the_layout_needs_is_refused(
    workplace: Path, capsys: pytest.CaptureFixture[str]
):
    description, files = describe_tiny()
    folder = checkpoint.write(workplace / "made", description, {**files, "config.json": b"{}"})
    assert main(["package", "--hub", "exported", str(folder)]) == 1
    assert "a file called config.json" in capsys.readouterr().err
    assert not (workplace / "exported").exists()


def test_the_front_matter_quotes_whatever_a_checkpoint_is_called_and_measured_as():
    description, _ = describe_tiny()
    metrics = {"a: b": 1e-07, "infinite": float("inf"), "count": 3, "by noise": {"x #1": 0.25, "table": {}}}
    text = front_matter({**description, "metrics": metrics, "licence": "mine, ask: me", "family": "gan\n---"})
    assert text.startswith("---\nlicense: other\n" + 'license_name: "mine, ask: me"\n')
    assert text.count("\n---\n") == 1
    assert re.findall(r"value: (.*)", text) == ["1.0e-07", "0.25"]
    assert re.findall(r"      name: (.*)", text)[1:] == ['"a: b"', '"by noise x #1"']
    assert "datasets:" not in text


@pytest.mark.slow
def test_the_documented_commands_and_example_run(workplace: Path, capsys: pytest.CaptureFixture[str]):
    text = (ROOT / "docs" / "hub.md").read_text()
    commands = re.findall(r"^```sh\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
    assert len(commands) == 2
    (workplace / "checkpoints").symlink_to(ROOT / "checkpoints")
    for command in commands:
        words = command.strip().replace(".venv/bin/python", sys.executable)
        ended = subprocess.run(["bash", "-euc", f"PYTHONPATH={ROOT} {words}"], capture_output=True, text=True)
        assert ended.returncode == 0, ended.stderr
    there = shipped("fashion-cgan")
    assert contents(workplace / "mine" / "fashion-cgan" / there.name) == contents(there)
    (example,) = doc_examples.python("hub.md")
    size = sum(values.size for values in load_file(there / "weights.safetensors").values())
    assert doc_examples.run(example).splitlines() == [str(size), "['latents', 'labels']"]
