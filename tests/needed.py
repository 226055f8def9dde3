"""What a test needs of the machine: without it the test is skipped, but where `CI` is true it fails."""

import os
from typing import NoReturn

import pytest


def lacking(what: str) -> NoReturn:
    if os.environ.get("CI") == "true":
        pytest.fail(f"CI needs {what}")
    pytest.skip(f"there is no {what} here")
