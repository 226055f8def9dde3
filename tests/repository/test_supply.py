"""What everything is made of: packages are pinned, listed and looked up, and no code of ours runs early."""

import json
import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import distributions, requires
from pathlib import Path

import pytest
import yaml

from service.version import VERSION
from support.service_process import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PINNED = {
    name.lower().replace("_", "-"): version
    for name, version in re.findall(r"^([^=#\s]+)==(\S+)$", (ROOT / "constraints.txt").read_text(), re.M)
}


def name_of(requirement: str) -> str:
    return re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0].lower().replace("_", "-")


def test_every_requirement_is_pinned():
    wanted = [
        *PROJECT["project"]["dependencies"],
        *PROJECT["project"]["optional-dependencies"]["train"],
        *PROJECT["project"]["optional-dependencies"]["test"],
        *PROJECT["project"]["optional-dependencies"]["clients"],
        *PROJECT["project"]["optional-dependencies"]["ray"],
        *PROJECT["project"]["optional-dependencies"]["tracing"],
    ]
    assert [one for one in wanted if name_of(one) not in PINNED] == []


def test_every_package_that_the_service_imports_is_pinned():
    listed = (ROOT / "tests" / "repository" / "packages.txt").read_text().split()
    assert [name for name in listed if name.lower().replace("_", "-") not in PINNED] == []


def test_every_package_that_the_service_needs_is_pinned():
    """Also those that its packages need, without extras and for this platform."""
    pending, seen = [name_of(one) for one in PROJECT["project"]["dependencies"]], set()
    while pending:
        name = pending.pop()
        if name in seen:
            continue
        seen.add(name)
        needed = [one for one in requires(name) or () if ";" not in one]
        pending += [name_of(one) for one in needed]
    assert sorted(seen - PINNED.keys()) == []
    assert len(seen) > 15


@pytest.mark.usefixtures("git")
def test_no_code_of_ours_runs_when_it_is_installed():
    assert PROJECT["build-system"] == {
        "requires": ["setuptools>=77"],
        "build-backend": "setuptools.build_meta",
    }
    assert set(PROJECT["tool"]["setuptools"]) == {"packages", "package-data"}
    assert PROJECT["project"]["scripts"] == {
        "latent-service": "service.__main__:console",
        "latent-train": "training.__main__:console",
    }
    assert "entry-points" not in PROJECT["project"]
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in ("setup.py", "setup.cfg"):
        assert name not in tracked.split()
    assert not [one for one in tracked.split() if one.endswith(".pth") or "usercustomize" in one]


def test_the_changelog_begins_with_this_version():
    text = (ROOT / "CHANGELOG.md").read_text()
    assert re.findall(r"^## \[(.+)\]", text, re.M)[:2] == ["Unreleased", VERSION]
    assert PROJECT["project"]["version"] == VERSION


def test_the_guide_for_contributors_names_commands_that_are_there():
    named = set(re.findall(r"`make ([a-z-]+)`", (ROOT / "CONTRIBUTING.md").read_text()))
    assert len(named) > 5
    assert named <= set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))


def test_the_workflow_runs_what_ci_runs_on_every_python_that_is_named():
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "tests.yml").read_text())
    matrix = workflow["jobs"]["python"]["strategy"]["matrix"]
    ran = {f"make {target}" for target in matrix["target"]}
    steps = [step.get("run", "") for step in workflow["jobs"]["container"]["steps"]]
    ran |= {step.removeprefix("sudo ") for step in steps if "make" in step}
    assert ran == set(re.findall(r"^make .+$", (ROOT / ".ci" / "run").read_text(), re.M))
    named = re.findall(r"Python :: (3\.\d+)$", "\n".join(PROJECT["project"]["classifiers"]), re.M)
    assert matrix["python"] == named
    assert PROJECT["project"]["requires-python"] == f">={named[0]}"


def test_every_image_of_others_has_a_version():
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"].values()
    images = [service["image"] for service in services if "build" not in service]
    images += re.findall(r"^FROM (\S+)", (ROOT / "Dockerfile").read_text(), re.M)
    assert len(images) == 4
    assert [image for image in images if not re.search(r":v?\d+\.\d+", image)] == []


def test_every_container_is_closed_in_and_ours_has_its_version():
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    assert services["latent-service"]["image"] == f"latent-service:{VERSION}"
    for service in services.values():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert service["pids_limit"] == 512
        assert service["mem_limit"] == service["memswap_limit"]
        assert all("size=" in mount for mount in service.get("tmpfs", ()))
        assert all(port.startswith("127.0.0.1:") for port in service["ports"])


def test_the_bill_of_materials_lists_everything_installed():
    folder = str(Path(next(one for one in distributions() if one.name == "onnxruntime").locate_file("")))
    made = subprocess.run(
        [sys.executable, "tools/sbom.py", folder],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    bill = json.loads(made.stdout)
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    listed = {(one["name"], one["version"]) for one in bill["components"]}
    assert listed == {(one.name, one.version) for one in distributions(path=[folder])}
    by_name = {one["name"]: one for one in bill["components"]}
    assert by_name["onnxruntime"]["purl"] == f"pkg:pypi/onnxruntime@{PINNED['onnxruntime']}"
    assert sum("licenses" in one for one in bill["components"]) > len(listed) / 2


@pytest.mark.parametrize("said", ["", "Found 1 known vulnerability in 1 package"])
def test_an_audit_says_what_was_found(tmp_path: Path, said: str):
    auditor = tmp_path / "pip-audit"
    auditor.write_text(f"#!/bin/sh\necho '{said}'\n[ -z '{said}' ]\n")
    auditor.chmod(0o755)
    ended = subprocess.run(["bash", ROOT / ".ci/audit", auditor], capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stdout.strip(), ended.stderr) == (int(bool(said)), said, "")


def test_an_audit_without_internet_is_one_line_and_no_success():
    nowhere = dict.fromkeys(("HTTPS_PROXY", "HTTP_PROXY", "https_proxy", "http_proxy"), "http://127.0.0.1:9")
    auditor = Path(sys.executable).with_name("pip-audit")
    ended = subprocess.run(
        ["bash", ROOT / ".ci/audit", auditor],
        env={**os.environ, **nowhere, "NO_PROXY": "", "no_proxy": ""},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ended.returncode == 3
    assert ended.stdout == ""
    assert ended.stderr.count("\n") == 1
    assert "nothing was audited" in ended.stderr
