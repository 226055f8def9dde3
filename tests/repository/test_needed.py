"""A test that lacks something is skipped, and listed with what installs it; where `CI` is true it fails."""

import os
import re
import subprocess
import sys

import pytest

import conftest
from support import requirements
from support.service_process import ROOT
from training.data.datasets import DataError, fashion_mnist

CONTAINER = "tests/container"
LACKS_ENGINE = "a container engine: apt-get install podman podman-compose"
LISTED = re.compile(rf"^(\d+) tests for lack of {LACKS_ENGINE}\n\1 skipped", re.MULTILINE)


def run_tests(*words: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run some of the tests in a process of their own."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("CI", "PYTEST_"))}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *words]
    return subprocess.run(
        command, cwd=ROOT, env=inherited | environment, capture_output=True, text=True, timeout=120
    )


def test_what_is_missing_is_skipped_and_listed_with_what_installs_it():
    ended = run_tests(CONTAINER, "-m", "needs", HIDE_FROM_TESTS="container_engine")
    assert ended.returncode == 0, ended.stdout
    assert LISTED.search(ended.stdout), ended.stdout


def test_processes_together_list_it_once():
    ended = run_tests(CONTAINER, "-m", "needs", "--numprocesses", "2", HIDE_FROM_TESTS="all")
    assert LISTED.search(ended.stdout), ended.stdout


def test_where_ci_is_true_nothing_is_skipped():
    ended = run_tests(CONTAINER, CI="true", HIDE_FROM_TESTS="all")
    assert ended.returncode == 1
    assert f"CI lacks {LACKS_ENGINE}" in ended.stdout
    assert "skipped" not in ended.stdout.splitlines()[-1]


def test_an_unknown_name_hides_nothing_silently():
    ended = run_tests(CONTAINER, HIDE_FROM_TESTS="chrome")
    assert ended.returncode == pytest.ExitCode.USAGE_ERROR
    assert "chrome is none of whole_fashion_mnist, chromium" in ended.stderr


def test_a_test_that_does_not_request_fashion_mnist_cannot_find_it():
    with pytest.raises(DataError, match="lacks Fashion-MNIST's four files"):
        fashion_mnist()


def test_a_test_that_requests_fashion_mnist_finds_it(whole_fashion_mnist: object):
    assert len(fashion_mnist().train) == 60_000


def test_every_need_is_a_fixture():
    assert [name for name in requirements.NEEDS if not hasattr(conftest, name)] == []
