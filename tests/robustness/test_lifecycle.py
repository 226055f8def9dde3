"""Whatever happens to the checkpoint folder and is ordered, in any order: what serves is what a model says.

The model: of each name the highest version that is whole serves; one that serves goes on from memory when it
is damaged on the disk, and ends when its folder is removed. A name that was unloaded serves nothing, whatever
becomes of its folder, until it is loaded.
"""

import shutil
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from service import checkpoint
from support.service_process import ServiceProcess, wait_until
from support.tiny_checkpoints import describe_tiny
from tools.robustness_table import forms

NAMES = ("a", "b")
KEY = "admin-secret"
LATENTS = {"latents": [[0.0] * 4]}
DESCRIPTION, FILES = describe_tiny(operations=("decode",))


class Folder(RuleBasedStateMachine):
    """Writes, damages, mends and removes versions, loads and unloads; asks every worker after each step."""

    root: Path
    workers: list[httpx.Client]
    unloaded: set[str]
    """Shared by all examples: an order outlives the folder of its name."""
    versions = 0
    removals = 0
    orders = 0

    @initialize()
    def begin(self) -> None:
        self.known: dict[str, dict[int, bool]] = {name: {} for name in NAMES}
        """Versions on the disk by name: is it whole?"""
        self.serving: dict[str, int] = {}
        for folder in (".made", *NAMES):
            shutil.rmtree(self.root / folder, ignore_errors=True)
        (self.root / ".made").mkdir()
        self.settle()

    @rule(name=st.sampled_from(NAMES), whole=st.booleans())
    def write(self, name: str, whole: bool) -> None:
        type(self).versions += 1
        description = DESCRIPTION | {"name": name, "version": self.versions}
        folder = checkpoint.write(self.root / ".made", description, FILES)
        if not whole:
            (folder / "decode.onnx").write_bytes(b"broken")
        (self.root / name).mkdir(exist_ok=True)
        folder.rename(self.root / name / folder.name)
        self.known[name][self.versions] = whole
        self.settle()

    @rule(name=st.sampled_from(NAMES), mend=st.booleans())
    def change_highest(self, name: str, mend: bool) -> None:
        """Damage the highest version, or mend it."""
        if self.known[name]:
            version = max(self.known[name])
            graph = self.root / name / str(version) / "decode.onnx"
            building = graph.with_name(".new")
            building.write_bytes(FILES["decode.onnx"] if mend else b"broken")
            building.replace(graph)
            self.known[name][version] = mend
            self.settle()

    @rule(name=st.sampled_from(NAMES))
    def remove_highest(self, name: str) -> None:
        if self.known[name]:
            version = max(self.known[name])
            self.take_away(self.root / name / str(version))
            del self.known[name][version]
            self.settle()

    @rule(name=st.sampled_from(NAMES))
    def remove_name(self, name: str) -> None:
        if (self.root / name).exists():
            self.take_away(self.root / name)
            self.known[name] = {}
            self.settle()

    @rule(name=st.sampled_from(NAMES))
    def load(self, name: str) -> None:
        self.order(name, "load")
        if self.known[name]:
            self.unloaded.discard(name)
        self.settle()

    @rule(name=st.sampled_from(NAMES))
    def unload(self, name: str) -> None:
        """Once the order is answered it holds in every worker."""
        self.order(name, "unload")
        if self.known[name]:
            self.unloaded.add(name)
            self.serving.pop(name, None)
        self.check()

    def order(self, name: str, verb: str) -> None:
        """Order what only a name with versions can be ordered."""
        type(self).orders += 1
        answer = self.workers[0].post(f"/admin/models/{name}/{verb}", headers={"X-API-Key": KEY})
        assert answer.status_code == (200 if self.known[name] else 404)

    @rule()
    def hide_and_show_the_root(self) -> None:
        """What is loaded serves on while the folder is away."""
        self.root.rename(self.root.with_name("away"))
        self.check()
        self.root.with_name("away").rename(self.root)
        self.settle()

    def take_away(self, path: Path) -> None:
        """Remove a folder at once: nobody sees half of it."""
        type(self).removals += 1
        path.rename(self.root / ".made" / f"gone-{self.removals}")

    def settle(self) -> None:
        """Wait until every worker serves what the model says."""
        for name, versions in self.known.items():
            whole = [version for version, is_whole in versions.items() if is_whole]
            kept = [self.serving[name]] if self.serving.get(name) in versions else []
            best = max([*whole, *kept], default=None)
            if best is None or name in self.unloaded:
                self.serving.pop(name, None)
            else:
                self.serving[name] = best
        for worker in self.workers:
            wait_until(
                lambda worker=worker: self.seen_by(worker) == self.expected(), f"it is {self.expected()}"
            )
        self.check()

    def expected(self) -> dict[str, tuple[str, int, bool]]:
        """Return the state, version and whether there is a complaint, by name."""
        found = {}
        for name, versions in self.known.items():
            if versions:
                serving = self.serving.get(name)
                if name in self.unloaded:
                    found[name] = ("unloaded", max(versions), True)
                else:
                    complaint = not versions[max(versions)]
                    found[name] = ("serving" if serving else "refused", serving or max(versions), complaint)
        return found

    def seen_by(self, worker: httpx.Client) -> dict[str, tuple[str, int, bool]]:
        models = worker.get("/models").json()["models"]
        return {one["name"]: (one["state"], one["version"], bool(one["reason"])) for one in models}

    def check(self) -> None:
        """Check that every worker answers with what serves, and with nothing else."""
        for worker in self.workers:
            assert worker.get("/health/ready").status_code == (200 if self.serving else 503)
            for name in NAMES:
                answer = worker.post("/decode", json={**LATENTS, "model": name})
                if name in self.serving:
                    assert (answer.status_code, answer.json()["version"]) == (200, self.serving[name])
                else:
                    assert answer.status_code == (404 if self.serving else 503)


def what_happens_most(folder: Folder) -> None:
    """Go through the steps that every folder sees, before any are drawn."""
    folder.begin()
    for whole in (True, False, True):
        folder.write("a", whole)
    folder.change_highest("a", mend=False)
    folder.hide_and_show_the_root()
    folder.change_highest("a", mend=True)
    folder.unload("a")
    folder.write("a", whole=True)
    folder.hide_and_show_the_root()
    folder.write("b", whole=False)
    folder.load("a")
    folder.unload("b")
    folder.remove_highest("a")
    folder.remove_name("a")
    folder.change_highest("b", mend=True)
    folder.load("b")
    folder.unload("b")
    folder.remove_name("b")
    folder.write("b", whole=True)
    folder.load("b")
    folder.remove_name("b")


def one_client_per_worker(service: ServiceProcess) -> dict[str, httpx.Client]:
    """Return connections, one to each worker, by what the worker begins its request ids with."""
    clients: dict[str, httpx.Client] = {}
    while len(clients) < len(service.workers()):
        client = service.client()
        process = client.get("/health/live").json()["request_id"][:8]
        if process in clients:
            client.close()
        clients.setdefault(process, client)
    return clients


@pytest.mark.parametrize("workers", [1, 2])
@forms("examples", short=4, full=40)
def test_what_serves_is_what_the_folder_holds(tmp_path: Path, workers: int, examples: int):
    root = tmp_path / "checkpoints"
    root.mkdir()
    (tmp_path / "key").write_text(KEY)
    options: dict[str, Any] = {
        "reload_interval_s": 0.02,
        "workers": workers,
        "admin_key_file": tmp_path / "key",
    }
    with ServiceProcess(root, tmp_path / "service.log", **options) as service:
        clients = one_client_per_worker(service)
        machine = type(
            "Folder", (Folder,), {"root": root, "workers": list(clients.values()), "unloaded": set()}
        )
        what_happens_most(machine())
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=examples,
                stateful_step_count=12,
                deadline=None,
                phases=[Phase.generate],
                database=None,
                derandomize=True,
                suppress_health_check=list(HealthCheck),
            ),
        )
        assert machine.versions > 4 + examples / 4
        assert machine.orders > 5 + examples / 4
        for client in clients.values():
            client.close()
