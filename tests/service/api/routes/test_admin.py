"""What is to be served, for those who hold the admin key."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.in_process import InProcess
from support.problem_json import check_problem
from support.tiny_checkpoints import write_tiny

KEY = {"x-api-key": "the-admin-key"}


@pytest.fixture
def admin(tmp_path: Path) -> Iterator[InProcess]:
    (tmp_path / "key").write_text("the-admin-key\n")
    write_tiny(tmp_path / "checkpoints", "tiny")
    with InProcess(tmp_path / "checkpoints", admin_key_file=tmp_path / "key") as started:
        yield started


def test_an_unloaded_model_serves_no_more_until_it_is_loaded(admin: InProcess):
    gone = admin.post("/admin/models/tiny/unload", headers=KEY).json()
    assert (gone["state"], gone["reason"]) == ("unloaded", "it was unloaded")
    assert admin.post("/generate", json={}).status_code == 503
    back = admin.post("/admin/models/tiny/load", headers=KEY).json()
    assert (back["state"], back["version"]) == ("serving", 1)
    assert admin.post("/generate", json={}).status_code == 200


def test_loading_finds_a_version_that_came_since(admin: InProcess, tmp_path: Path):
    write_tiny(tmp_path / "checkpoints", "tiny", 2)
    assert admin.get("/models/tiny").json()["version"] == 1
    assert admin.post("/admin/models/tiny/load", headers=KEY).json()["version"] == 2


@pytest.mark.parametrize("verb", ["load", "unload"])
def test_the_admin_key_is_needed(admin: InProcess, client: InProcess, verb: str):
    path = f"/admin/models/tiny/{verb}"
    check_problem(admin.post(path), 401, "unauthorized")
    check_problem(admin.post(path, headers={"x-api-key": "another"}), 403, "forbidden")
    check_problem(client.post(path, headers=KEY), 403, "forbidden")
    assert admin.get("/models/tiny").json()["state"] == "serving"


@pytest.mark.parametrize("name", ["nothing", "TINY", "%2e%2e", "t%00"])
def test_a_model_that_is_not_there_is_unknown(admin: InProcess, name: str):
    check_problem(admin.post(f"/admin/models/{name}/load", headers=KEY), 404, "unknown-model")
